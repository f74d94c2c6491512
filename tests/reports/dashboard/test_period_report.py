"""The report on a period in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pypdf
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open, violations
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HOSTILE = "<script>alert(1)</script>\u202eevil"
LONG = "a" * 500


@pytest.fixture(scope="module")
def pages(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    with Ledger(tmp_path_factory.mktemp("period"), _provider.url) as ledger:
        _provider.response(*canned.as_json(canned.chat("fine")))
        for agent in ("writer", "reader"):
            names = {"agent-name": agent, "app-id": HOSTILE, "user-id": LONG, "session-id": "s"}
            httpx.post(
                f"{ledger.url}/v1/chat/completions",
                json={"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]},
                headers={f"x-agentledger-{n}".encode(): v.encode() for n, v in names.items()},
                timeout=30,
            )
        _provider.reset()
        wait_until(lambda: ledger.n_recorded() == 2)
        yield ledger


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(pages: Ledger, open_page: Open, scheme: str) -> None:
    page = open_page(f"{pages.url}/export/period?since=2026-01-01", color_scheme=scheme)
    assert violations(page) == []


def test_analytics_leads_to_the_report_on_what_it_shows(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/analytics/?agent=writer")
    shown = page.locator(".head .muted").inner_text()
    page.get_by_role("link", name="Report", exact=True).click()
    page.wait_for_url("**/export/period?*agent_name=writer")
    expect(page.locator("main")).to_contain_text("Calls of the agent writer from")
    [since, until] = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown)
    expect(page.locator("main")).to_contain_text(f"from {since} until before {until}")
    assert page.get_by_role("region", name="Cost by agent").locator("tbody tr").count() == 1


def test_hostile_names_are_shown_and_do_nothing(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/export/period?since=2026-01-01")
    region = page.get_by_role("region", name="Cost by application", exact=True)
    expect(region).to_contain_text("<script>alert(1)</script>U+202Eevil")
    width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0
    expect(page.get_by_role("region", name="Cost by user")).to_contain_text(LONG)


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_it_prints_with_page_numbers(
    pages: Ledger, open_page: Open, tmp_path: Path, paper: str
) -> None:
    page = open_page(f"{pages.url}/export/period?since=2026-01-01")
    page.pdf(path=tmp_path / "report.pdf", format=paper)
    printed = pypdf.PdfReader(tmp_path / "report.pdf").pages
    texts = [one.extract_text() for one in printed]
    assert len(texts) > 1
    for number, text in enumerate(texts, 1):
        assert re.search(rf"{number} ?/ ?{len(texts)}", text)
    assert LONG in re.sub(r"\s", "", "".join(texts))
