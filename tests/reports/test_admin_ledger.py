"""Sessions and calls in the admin, as a browser on this machine sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.access.test_admin_login import Browser
from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HOSTILE = "<script>alert('prompt')</script>"
CALLS, SESSIONS = "/admin/capture/call/", "/admin/capture/session/"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def read(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    env = {}
    if request.param == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path_factory.mktemp(request.param), _provider.url, env=env) as ledger:
        _provider.response(*canned.as_json(canned.chat("It rains in Paris.")))
        ledger.post("run-1", content=HOSTILE)
        ledger.post("run-1", content="And in London?")
        ledger.post("run-2", content="something else")
        wait_until(lambda: ledger.n_recorded() == 3)
        _provider.reset()
        yield ledger


def page(ledger: Ledger, path: str, **parameters: Any) -> str:
    with Browser(ledger) as browser:
        response = browser.get(f"{path}?{urlencode(parameters)}", follow_redirects=True)
    assert response.status_code == 200, response.text[:2000]
    return response.text


def test_sessions_are_listed_and_read(read: Ledger) -> None:
    listed = page(read, SESSIONS)
    assert "run-1" in listed and "run-2" in listed
    found = page(read, SESSIONS, q="run-1")
    assert "run-1" in found and ">run-2<" not in found
    assert "Save" not in found
    [session] = [s for s in read.sessions() if s["session_id"] == "run-1"]
    shown = page(read, f"{SESSIONS}1/change/")
    assert "Newest calls" in shown or "newest calls" in shown
    assert shown.count("completed") == session["call_count"]


def test_the_admin_leads_to_the_other_pages(read: Ledger) -> None:
    session = page(read, f"{SESSIONS}1/change/")
    for path in (
        "/dashboard/sessions/run-1/",
        "/?session=run-1",
        "/dashboard/flow/?session=run-1",
        "/dashboard/trace/?session=run-1",
    ):
        assert f'href="{path}"' in session
        assert read.get(path, headers={"accept": "text/html"}).status_code == 200
    call = read.calls("run-1", count=2)[0]["action_id"]
    assert f'href="/dashboard/calls/{call}/"' in page(read, f"{CALLS}{call}/change/")


def test_calls_are_listed_found_and_read(read: Ledger) -> None:
    assert page(read, CALLS).count("completed</td>") == 3
    of_session = page(read, CALLS, session__id__exact=1)
    assert of_session.count("completed</td>") == 2
    wait_until(lambda: "London" in read.get("/api/search?q=london").text)
    assert page(read, CALLS, q="in london").count("completed</td>") == 1
    assert page(read, CALLS, q="nowhere to be found").count("completed</td>") == 0
    hostile = read.calls("run-1", count=2)[0]
    shown = page(read, f"{CALLS}{hostile['action_id']}/change/")
    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown
    assert "It rains in Paris." in shown
    assert "run-1" in shown


def test_nothing_can_be_changed_or_added(read: Ledger) -> None:
    with Browser(read) as browser:
        for path in (SESSIONS, CALLS):
            assert browser.get(f"{path}add/").status_code == 403
        response = browser.submit(f"{SESSIONS}1/change/", session_id="other")
        assert response.status_code == 403
    assert {s["session_id"] for s in read.sessions()} >= {"run-1", "run-2"}


def test_a_session_is_deleted_with_the_consequence_shown(read: Ledger) -> None:
    for n in range(3):
        read.post("to-go", content=f"number {n}")
    session = wait_until(
        lambda: next((s for s in read.sessions() if s["session_id"] == "to-go"), None)
    )
    read.calls("to-go", count=3)
    assert session["call_count"] >= 1
    with Browser(read) as browser:
        listed = browser.get(SESSIONS, params={"q": "to-go"}).text
        [pk] = set(re.findall(rf"{SESSIONS}(\d+)/change/", listed))
        confirmation = browser.get(f"{SESSIONS}{pk}/delete/")
        assert "to-go: 3 calls" in confirmation.text
        done = browser.submit(f"{SESSIONS}{pk}/delete/", post="yes")
        assert done.status_code == 302
    assert read.get("/session/to-go").status_code == 404
    assert ">to-go<" not in page(read, SESSIONS)
    [entry] = read.get("/api/audit", params={"object": "to-go"}).json()
    assert (entry["action"], entry["actor"]) == ("session.delete", "local operator")
