"""The search page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open, violations
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HOSTILE = "needle <script>alert(1)</script> \u202eneedle"


@pytest.fixture(scope="module")
def pages(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    with Ledger(tmp_path_factory.mktemp("search"), _provider.url) as ledger:
        said = [
            ("one", "writer", "failed to connect to Lisbon"),
            ("one", "reader", "connect later"),
            ("two", "writer", HOSTILE),
            *(("many", "crowd", f"common word {n}") for n in range(60)),
        ]
        _provider.response(*canned.as_json(canned.chat("fine")))
        for session, agent, text in said:
            httpx.post(
                f"{ledger.url}/v1/chat/completions",
                json={"model": "gpt-4o", "messages": [{"role": "user", "content": text}]},
                headers={
                    "x-agentledger-session-id": session,
                    "x-agentledger-agent-name": agent,
                },
                timeout=30,
            )
        _provider.reset()
        wait_until(lambda: ledger.n_recorded() == len(said))
        yield ledger


def test_calls_are_found_by_what_was_said(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/search/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("connect failed")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/search/?q=connect+failed")
    hit = page.locator(".hit")
    expect(hit).to_have_count(1)
    assert hit.locator("mark").all_inner_texts() == ["failed", "connect"]
    expect(hit).to_contain_text("matched in: prompt")
    expect(page.get_by_role("status").filter(has_text="1 call, newest first")).to_be_visible()
    page.reload()
    expect(hit).to_have_count(1)
    hit.get_by_role("link").first.click()
    page.wait_for_url("**/dashboard/calls/*/")


def test_quotes_make_a_phrase_and_filters_narrow(pages: Ledger, open_page: Open) -> None:
    page = open_page(f'{pages.url}/dashboard/search/?q="connect to"')
    expect(page.locator(".hit")).to_have_count(1)
    page.goto(f"{pages.url}/dashboard/search/?q=connect&agent=reader")
    expect(page.locator(".hit")).to_have_count(1)
    page.goto(f"{pages.url}/dashboard/search/?q=nowhere")
    expect(page.get_by_text("No call contains all these words.")).to_be_visible()


def test_more_than_a_page_is_said_and_read_on(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/search/?q=common")
    expect(page.get_by_text("60 calls, newest first")).to_be_visible()
    page.get_by_role("link", name="Older calls").click()
    expect(page.locator(".hit")).to_have_count(10)


def test_boxes_say_where(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/search/?q=reader")
    expect(page.locator(".hit")).to_contain_text("matched in: agent")
    for name in ("prompt", "response"):
        page.get_by_role("group", name="Search in").get_by_label(name).check()
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No call contains all these words.")).to_be_visible()
    expect(page.get_by_label("response")).to_be_checked()
    page.goto(f"{pages.url}/dashboard/search/?q=reader&scope=tool,agent")
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.get_by_label("tool")).to_be_checked()


def test_what_was_said_runs_nothing(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/search/?q=needle")
    expect(page.locator(".snippet")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("main script").count() == 0
    page.goto(f"{pages.url}/dashboard/search/?q=%3Cscript%3Ealert")
    expect(page.locator(".snippet mark")).to_have_text("<script>alert")


def test_the_same_for_programs_and_what_cannot_be_asked(pages: Ledger) -> None:
    hits = pages.get("/dashboard/search.json?q=connect").json()
    assert [hit["session_id"] for hit in hits] == ["one", "one"]
    rows = list(csv.DictReader(io.StringIO(pages.get("/dashboard/search.csv?q=connect").text)))
    assert [row["field"] for row in rows] == ["messages", "messages"]
    wrong = pages.get("/dashboard/search/?q=x&since=soon", headers={"accept": "text/html"})
    assert wrong.status_code == 400 and "since" in wrong.text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(pages: Ledger, open_page: Open, theme: str) -> None:
    for query in ("", "?q=connect", "?q=nowhere"):
        page = open_page(f"{pages.url}/dashboard/search/{query}", color_scheme=theme)
        assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
