"""The analytics page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open, violations
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def pages(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    with Ledger(tmp_path_factory.mktemp("analytics"), _provider.url) as ledger:
        _provider.response(*canned.as_json({"error": {"message": "no"}}, status=500), times=1)
        _provider.response(*canned.as_json(canned.chat("fine")))
        for agent, model in (("writer", "gpt-4o"), ("writer", "gpt-4o"), ("reader", "gpt-4o-mini")):
            httpx.post(
                f"{ledger.url}/v1/chat/completions",
                json={"model": model, "messages": [{"role": "user", "content": "x"}]},
                headers={"x-agentledger-agent-name": agent, "x-agentledger-session-id": "s"},
                timeout=30,
            )
        _provider.reset()
        wait_until(lambda: ledger.n_recorded() == 3)
        yield ledger


def test_sums_are_those_of_the_api(pages: Ledger, open_page: Open) -> None:
    total = pages.get("/api/analytics").json()["total"]
    page = open_page(f"{pages.url}/dashboard/analytics/")
    facts = page.locator(".facts")
    expect(facts).to_contain_text("1 (33.3 %)")
    exact = facts.locator("dd span").first.get_attribute("title")
    assert exact is not None and float(exact.split()[0]) == pytest.approx(total["cost_usd"])
    rows = page.get_by_role("region", name="By model").locator("tbody th").all_inner_texts()
    assert sorted(rows) == ["gpt-4o", "gpt-4o-mini"]
    for chart in ("cost", "calls", "latency", "ttft"):
        expect(page.locator(f"#{chart} canvas")).to_be_visible()


def test_groups_are_chosen_and_stay_in_the_address(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/analytics/?since=2026-01-01")
    page.get_by_role("link", name="Agent", exact=True).click()
    page.wait_for_url(re.compile("since=2026-01-01&by=agent"))
    page.reload()
    region = page.get_by_role("region", name="By agent")
    assert sorted(region.locator("tbody th").all_inner_texts()) == ["reader", "writer"]
    link = page.get_by_role("link", name="CSV by agent").get_attribute("href")
    table = pages.get(str(link)).text
    assert table.startswith("start,agent_name") and "writer" in table
    page.get_by_role("link", name="User", exact=True).click()
    expect(page.get_by_role("region", name="By user").locator("tbody th")).to_have_text("—")


def test_the_keyboard_alone_does(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/analytics/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(7):  # beyond the reports, the CSVs and the two times: the interval
        page.keyboard.press("Tab")
    expect(page.get_by_label("Interval")).to_be_focused()
    page.keyboard.press("h")
    page.keyboard.press("Tab")
    page.keyboard.type("reader")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?by=model&interval=hour&agent=reader*")
    rows = page.get_by_role("region", name="By model").locator("tbody th")
    expect(rows).to_have_text("gpt-4o-mini")
    scrolled = page.get_by_role("region", name="By model")
    for _ in range(30):
        page.keyboard.press("Tab")
        if scrolled.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError("the table cannot be reached, and so not be scrolled")


def test_a_time_without_calls_says_so(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/analytics/?since=2020-01-01&until=2020-01-03")
    expect(page.get_by_text("No calls in this period.")).to_be_visible()
    wrong = pages.get("/dashboard/analytics/?by=colour", headers={"accept": "text/html"})
    assert wrong.status_code == 400 and "one of model" in wrong.text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(pages: Ledger, open_page: Open, theme: str) -> None:
    page = open_page(f"{pages.url}/dashboard/analytics/", color_scheme=theme)
    expect(page.locator("#ttft canvas")).to_be_visible()
    page.get_by_text("Figures by").click()
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator("body")).to_have_js_property("scrollWidth", 320)
