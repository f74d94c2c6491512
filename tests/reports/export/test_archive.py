"""Sessions as files, from their pages and from the admin."""

from __future__ import annotations

import io
import json
import re
import zipfile

import httpx
import pytest

from tests.access.test_admin_login import Browser
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

SESSIONS = "/admin/capture/session/"
IDS = ["run-1", "../a b", "\u202eevil"]


@pytest.fixture(scope="module")
def recorded(stack: Ledger, _provider: Provider) -> Ledger:
    _provider.reset()
    _provider.response(*canned.as_json(canned.chat("fine")))
    for session_id in IDS:
        httpx.post(
            f"{stack.url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": f"hello {session_id}"}]},
            headers={b"x-agentledger-session-id": session_id.encode()},
            timeout=30,
        )
    wait_until(lambda: stack.n_recorded() == len(IDS))
    _provider.reset()
    return stack


def test_selected_sessions_are_one_zip(recorded: Ledger) -> None:
    with Browser(recorded) as browser:
        listed = browser.get(SESSIONS).text
        numbers = re.findall(r'name="_selected_action" value="(\d+)"', listed)
        assert len(numbers) == len(IDS)
        response = browser.submit(SESSIONS, action="export_selected", _selected_action=numbers)
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == 'attachment; filename="sessions.zip"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        exports = {name: json.loads(archive.read(name)) for name in names if "export" in name}
        pages = [archive.read(name).decode() for name in names if "report" in name]
    assert [re.sub("^[0-9]{3}-", "", name) for name in sorted(names)] == [
        *("evil/export.json", "evil/report.html", "a-b/export.json", "a-b/report.html"),
        *("run-1/export.json", "run-1/report.html"),
    ]
    assert sorted(one["session"]["session_id"] for one in exports.values()) == sorted(IDS)
    assert [len(one["calls"]) for one in exports.values()] == [1, 1, 1]
    assert all("hello" in page and "<style>" in page for page in pages)


@pytest.mark.parametrize("address", ["/dashboard/sessions/{}/", "/admin/capture/session/1/change/"])
def test_a_sessions_page_leads_to_its_files(recorded: Ledger, address: str) -> None:
    with Browser(recorded) as browser:
        page = browser.get(address.format("run-1")).text
    links = re.findall(r'href="(/export/[^"]+)"', page)
    types = [recorded.get(link).headers["content-type"].partition(";")[0] for link in links]
    kinds = ["application/json", "application/zip", "text/html", "application/pdf"]
    assert types == kinds
