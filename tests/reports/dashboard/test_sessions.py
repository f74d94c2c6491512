"""The list of sessions, and one session as a conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open, violations
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

ODD = "run/1 <b>ä</b>?x#y"


@pytest.fixture(scope="module")
def pages(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    env = {"AGENTLEDGER_BUDGET_SESSION": "5"}
    with Ledger(tmp_path_factory.mktemp("sessions"), _provider.url, env=env) as ledger:
        history: list[dict[str, Any]] = [{"role": "system", "content": "You plan."}]
        for n, agent in enumerate(("planner", "planner", "writer")):
            history.append({"role": "user", "content": f"question {n}"})
            _provider.response(*canned.as_json(canned.chat(f"answer {n}")))
            send(ledger, history, "talk", agent)
            _provider.reset()
            history.append({"role": "assistant", "content": f"answer {n}"})
        send(ledger, [{"role": "user", "content": "odd"}], ODD, "planner")
        for n in range(60):
            send(ledger, [{"role": "user", "content": "x"}], f"many-{n}", "crowd")
        wait_until(lambda: ledger.n_recorded() == 64)
        yield ledger


def send(ledger: Ledger, messages: list[dict[str, Any]], session: str, agent: str) -> None:
    httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": messages},
        headers={
            b"x-agentledger-session-id": session.encode(),
            b"x-agentledger-agent-name": agent.encode(),
        },
        timeout=30,
    )


def address(ledger: Ledger, session: str) -> str:
    return f"{ledger.url}/dashboard/sessions/{quote(session, safe='')}/"


def test_sessions_are_found_and_opened(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/sessions/")
    expect(page.locator("#total")).to_have_text("62 sessions")
    assert page.locator("#rows tr").count() == 50
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("#rows tr")).to_have_count(12)
    page.keyboard.press("/")
    page.keyboard.type("talk")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/sessions/?q=talk")
    expect(page.locator("#total")).to_have_text("1 matching session")
    page.get_by_role("link", name="talk").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Session talk")


def test_the_list_is_sorted_and_lives(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/sessions/?agent=fresh")
    expect(page.get_by_text("No matching sessions.")).to_be_visible()
    send(pages, [{"role": "user", "content": "x"}], "fresh-1", "fresh")
    expect(page.locator("#rows")).to_contain_text("fresh-1", timeout=20000)
    page.goto(f"{pages.url}/dashboard/sessions/")
    page.get_by_role("link", name="Calls", exact=True).last.click()
    page.wait_for_url("**sort=-call_count")
    expect(page.locator("#rows tr").first).to_contain_text("talk")


def test_each_message_is_read_once(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "talk"))
    said = page.locator("#calls-of-session")
    for n in range(3):
        assert said.get_by_text(f"question {n}", exact=True).count() == 1
        assert said.get_by_text(f"answer {n}", exact=True).count() == 1
    assert said.get_by_text("You plan.", exact=True).count() == 1
    assert said.locator(".entry").count() == 3
    page.get_by_role("link", name="writer").click()
    page.wait_for_url("**?agent=writer")
    expect(said.locator(".entry")).to_have_count(1)
    said.locator(".entry a").first.click()
    page.wait_for_url("**/dashboard/calls/*/")


def test_its_calls_are_a_list_too(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "talk"))
    page.get_by_role("link", name="Calls", exact=True).last.click()
    page.wait_for_url("**/?tab=calls")
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator("#rows td[data-ms][data-heat]")).to_have_count(3)
    page.get_by_role("link", name="planner", exact=True).click()
    page.wait_for_url("**/?tab=calls&agent=planner")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/calls/*/?from=*")
    page.get_by_role("link", name="← Back to list").click()
    page.wait_for_url("**/?session=talk&agent=planner")
    expect(page.locator("#rows tr")).to_have_count(2)


def test_costs_are_summed_up_and_drawn(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "talk"))
    rows = page.get_by_role("complementary", name="Costs").locator("tbody tr")
    assert {row.split("\t")[0].strip() for row in rows.all_inner_texts()} == {"planner", "writer"}
    expect(page.locator("#growth canvas")).to_be_visible()
    expect(page.get_by_label("Budget used")).to_be_visible()
    assert "left of $5.00" in page.locator(".facts").inner_text()


def test_the_budget_is_drawn_where_the_curve_comes_near_it(
    pages: Ledger, open_page: Open, provider: Provider
) -> None:
    page = open_page(address(pages, "talk"))
    limit = page.locator("#growth-limit")
    expect(limit).to_have_text("The budget of $5.00 is far above the curve.")
    usage = {"prompt_tokens": 500_000, "completion_tokens": 0, "total_tokens": 500_000}
    provider.response(*canned.as_json({**canned.chat("Much."), "usage": usage}))  # 1.25 USD
    n_before = pages.n_recorded()
    for _ in range(2):
        send(pages, [{"role": "user", "content": "x"}], "dear", "spender")
    wait_until(lambda: pages.n_recorded() == n_before + 2)
    page.goto(address(pages, "dear"))
    expect(limit).to_have_text("The dashed line is the budget of $5.00.")
    expect(page.locator("#growth canvas")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("$2.50 left of $5.00")


def test_any_name_can_be_opened(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/dashboard/sessions/?q={quote('run/1')}")
    page.locator("#rows a").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("run/1 <b>")
    assert page.locator("h1 b").count() == 0
    missing = pages.get("/dashboard/sessions/nothing/", headers={"accept": "text/html"})
    assert missing.status_code == 404 and "no session nothing" in missing.text


def test_labels_notes_and_pins_are_kept(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "many-1"))
    page.get_by_role("button", name="Labels and note").click()
    page.get_by_role("textbox", name="Labels").fill("seen, <i>odd</i>")
    page.get_by_role("textbox", name="Note").fill("look again")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    expect(page.locator(".head .chip").nth(1)).to_have_text("<i>odd</i>")
    expect(page.get_by_text("look again").first).to_be_visible()
    with page.expect_navigation():
        page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    told = pages.get("/api/sessions/many-1").json()
    assert (told["labels"], told["note"], told["pinned"]) == (
        ["seen", "<i>odd</i>"],
        "look again",
        True,
    )


def test_newer_calls_are_announced(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "many-2"))
    send(pages, [{"role": "user", "content": "later"}], "many-2", "crowd")
    expect(page.locator("#newer")).to_be_visible(timeout=20000)
    page.get_by_role("link", name="Reload").click()
    expect(page.get_by_text("later", exact=True).first).to_be_visible()


def test_a_session_is_stopped_and_resumed_where_it_is_read(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "many-3"))
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Reason").fill("loops")
    with page.expect_navigation():
        page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#stops")).to_contain_text("many-3 is stopped: loops")
    wait_until(lambda: pages.post("many-3").status_code == 403)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#stops .banner")).to_have_count(0)
    wait_until(lambda: pages.post("many-3").status_code == 200)


def test_a_session_is_deleted_after_a_question(pages: Ledger, open_page: Open) -> None:
    page = open_page(address(pages, "many-4"))
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text(re.compile("Its 1 call and all content"))).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/dashboard/sessions/")
    assert pages.get("/session/many-4").status_code == 404


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_they_are_accessible(pages: Ledger, open_page: Open, theme: str) -> None:
    page = open_page(f"{address(pages, 'talk')}?tab=calls", color_scheme=theme)
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page = open_page(f"{pages.url}/dashboard/sessions/", color_scheme=theme)
    assert violations(page) == []
    page.goto(address(pages, "talk"))
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
