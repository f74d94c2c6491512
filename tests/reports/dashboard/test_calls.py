"""The list of calls, live."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
from playwright.sync_api import Page, expect

from tests.reports.dashboard.conftest import Open, violations
from tests.reports.dashboard.sessions import spent
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"


@pytest.fixture(scope="module")
def pages(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    env = {"AGENTLEDGER_BUDGET_SESSION": "1", "AGENTLEDGER_BUDGET_ACTION": "warn"}
    with Ledger(tmp_path_factory.mktemp("calls"), _provider.url, env=env) as ledger:
        for n in range(70):
            say(ledger, f"call {n}", session=f"s{n % 3}", agent="writer" if n % 2 else "reader")
        wait_until(lambda: ledger.n_recorded() == 70)
        yield ledger


def say(ledger: Ledger, text: str, *, session: str = "s", agent: str = "writer") -> str:
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": [{"role": "user", "content": text}]},
        headers={"x-agentledger-session-id": session, "x-agentledger-agent-name": agent},
        timeout=30,
    )
    return response.headers["x-agentledger-action-id"]


def is_live(page: Page) -> None:
    expect(page.locator("#state")).to_have_attribute("data-state", "live", timeout=15000)


def first_row(page: Page) -> str | None:
    return page.locator("#rows tr").first.get_attribute("data-call")


def test_a_call_of_an_sdk_comes_in_by_itself(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    is_live(page)
    client = openai.OpenAI(
        base_url=f"{pages.url}/v1",
        api_key="sk-x",
        default_headers={"x-agentledger-session-id": "sdk", "x-agentledger-agent-name": "planner"},
    )
    with client:
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Plan a trip"}]
        )
    row = page.locator("#rows tr").first
    expect(row).to_contain_text("Plan a trip", timeout=15000)
    expect(row).to_contain_text("planner")
    expect(row.locator(".col-status .badge")).to_have_text("✓ 200")


def test_a_running_call_shows_at_once_and_ends_in_place(
    pages: Ledger, open_page: Open, provider: Provider
) -> None:
    provider.response(canned.HOLD, *canned.as_json(canned.chat("done")))
    page = open_page(pages.url)
    is_live(page)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(say, pages, "take your time", session="slow")
        running = page.locator("#rows tr.is-running")
        expect(running.locator(".col-status .badge")).to_have_text("◌ running", timeout=15000)
        expect(page.locator("[data-figure=running]")).to_have_text("1")
        expect(running.locator(".col-total")).to_have_text(re.compile(r"^\d+ s$"))
        provider.release()
        action_id = waiting.result()
    row = page.locator(f"#c-{action_id}")
    expect(row.locator(".col-status .badge")).to_have_text("✓ 200", timeout=15000)
    assert page.locator(f"[data-call='{action_id}']").count() == 1
    expect(page.locator("[data-figure=running]")).to_have_text("0")


def test_what_broke_today_is_said_without_a_click(
    pages: Ledger, open_page: Open, provider: Provider
) -> None:
    page = open_page(pages.url)
    is_live(page)
    n_errors = len(pages.get("/dashboard/calls.json?status=error").json())
    expect(page.locator("[data-figure=errors_today]")).to_have_text(str(n_errors))
    expect(page.locator("[data-figure=warnings_today]")).to_have_text("0")
    spent(pages, provider, "spent")  # its second call comes with a warning
    provider.response(*canned.as_json({"error": {"message": "Oh no"}}, 500), times=1)
    failed = say(pages, "fails")
    errors = page.locator("[data-figure=errors_today]")
    expect(errors).to_have_text(str(n_errors + 1), timeout=15000)
    expect(page.locator("[data-figure=warnings_today]")).to_have_text("1")
    page.get_by_role("link", name="errors today").click()
    page.wait_for_url("**/?status=error&since=*")
    expect(page.locator("#rows tr")).to_have_count(n_errors + 1)
    assert first_row(page) == failed
    expect(errors).to_have_text(str(n_errors + 1))
    page.get_by_role("link", name="budget warnings today").click()
    expect(page.locator("#rows .badge.warn")).to_have_count(1)


def test_the_slowest_calls_are_shaded(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/?session=s1")
    told = page.locator("#rows td[data-ms]").evaluate_all(
        "cells => cells.map((cell) => [Number(cell.dataset.ms), Number(cell.dataset.heat)])"
    )
    by_time = [heat for _, heat in sorted(told)]
    assert by_time == sorted(by_time) and by_time[0] == 0 and by_time[-1] == 4
    assert {*by_time} == {0, 1, 2, 3, 4}
    same = page.locator("#rows td[data-cost]").evaluate_all(
        "cells => cells.map((c) => c.dataset.heat)"
    )
    assert {*same} == {"0"}  # all cost the same


def test_a_selection_that_is_not_there_is_said(pages: Ledger, open_page: Open) -> None:
    action_id = say(pages, "elsewhere", session="elsewhere")
    pages.explain(action_id)
    page = open_page(f"{pages.url}/?session=s1&sel={action_id}")
    expect(page.get_by_role("alert")).to_contain_text("The selected call is not in this list.")
    page.get_by_role("link", name="Open its page").click()
    page.wait_for_url(f"**/dashboard/calls/{action_id}/")


def test_what_the_reader_looks_at_stays_where_it_is(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url, viewport={"width": 1400, "height": 600})
    is_live(page)
    page.locator("#scroller").evaluate("e => { e.scrollTop = 300 }")
    expect(page.locator("#state")).to_have_attribute("data-state", "held")
    shown = """() => {
        const top = document.getElementById("scroller").getBoundingClientRect().top + 40;
        return [...document.querySelectorAll("#rows tr")]
            .find((row) => row.getBoundingClientRect().top >= top).dataset.call;
    }"""
    before = page.evaluate(shown)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: say(pages, f"new {n}"), range(50)))
    expect(page.locator("#pill")).to_have_text("50 new calls ↑", timeout=20000)
    assert page.evaluate(shown) == before
    page.locator("#pill").click()
    expect(page.locator("#pill")).to_be_hidden()
    expect(page.locator("#rows tr").first).to_contain_text("new ")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")


def test_it_can_be_paused_and_the_address_says_so(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    is_live(page)
    page.keyboard.press("p")
    assert "tail=0" in page.url
    first = first_row(page)
    say(pages, "while paused")
    expect(page.locator("#pill")).to_have_text("1 new call ↑", timeout=15000)
    assert first_row(page) == first
    page.reload()
    expect(page.locator("#state")).to_have_attribute("data-state", "paused")
    page.keyboard.press("p")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    assert "tail" not in page.url


def test_a_lost_connection_is_said_and_what_was_missed_comes(
    _provider: Provider, open_page: Open, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path, _provider.url)
    with ledger:
        port = ledger.url.rpartition(":")[2]
        say(ledger, "before")
        ledger.call("s")
        page = open_page(ledger.url, expected=["WebSocket connection"])
        is_live(page)
        # The browser asks for the icon when it likes to: from now on it has it in its cache.
        page.evaluate("fetch(document.querySelector('link[rel=icon]').href).then(r => r.blob())")
    expect(page.locator("#lost")).to_contain_text("Connection lost", timeout=15000)
    ledger.env["AGENTLEDGER_PORT"] = port
    with ledger:
        say(ledger, "after")
        expect(page.locator("#lost")).to_be_hidden(timeout=30000)
        expect(page.locator("#rows tr").first).to_contain_text("after", timeout=15000)
        assert page.locator("#rows tr").count() == 2


def test_filters_are_in_the_address_and_come_off(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/?agent=reader&session=s0")
    agents = set(page.locator("#rows .col-agent").all_inner_texts())
    assert agents == {"reader"}
    say(pages, "not shown", session="s0", agent="writer")
    mine = say(pages, "shown", session="s0", agent="reader")
    expect(page.locator("#rows tr").first).to_have_attribute("data-call", mine, timeout=15000)
    page.get_by_role("link", name="agent: reader").click()
    page.wait_for_url(f"{pages.url}/?session=s0")
    expect(page.locator("#rows .col-agent").filter(has_text="writer").first).to_be_visible()
    page.locator("[name=user]").fill("nobody")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No matching calls.")).to_be_visible()
    assert "user=nobody" in page.url and "min_cost" not in page.url
    page.go_back()
    expect(page.locator("#rows tr").first).to_be_visible()


def test_words_that_were_said_narrow_down_too(pages: Ledger, open_page: Open) -> None:
    said = [say(pages, f"the gnu is {what}", session="herd") for what in ("early", "late")]
    say(pages, "no antelope", session="herd")
    page = open_page(f"{pages.url}/?session=herd")
    page.keyboard.press("/")
    page.keyboard.type("GNU")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=GNU&session=herd")
    expect(page.locator("#rows tr")).to_have_count(2)
    rows = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.call)")
    assert rows == said[::-1]
    assert page.locator("#state").count() == 0  # what comes later is not searched
    expect(page.locator(".chip").first).to_contain_text("q: GNU")
    listed = pages.get("/dashboard/calls.json?q=gnu&limit=1")
    assert [call["action_id"] for call in listed.json()] == said[1:]
    older = listed.links["next"]["url"].removeprefix(pages.url)
    assert [call["action_id"] for call in pages.get(older).json()] == said[:1]
    assert pages.get("/dashboard/calls.json?q=gnu&sort=cost").status_code == 400
    assert pages.get(older.replace("q=gnu", "sort=timestamp")).status_code == 400


def test_facets_count_and_narrow_down(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    page.locator(".facet").get_by_role("link", name=re.compile("reader")).click()
    page.wait_for_url("**/?agent=reader")
    expect(page.locator(".facet [aria-current]")).to_contain_text("reader")


def test_older_calls_are_read_on(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/?tail=0")
    assert page.locator("#rows tr").count() == 50
    page.get_by_role("link", name="Older calls").click()
    expect(page.locator("#rows tr").nth(60)).to_be_attached()
    ids = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.call)")
    assert len(ids) == len(set(ids))


def test_back_from_a_call_leads_to_the_same_place(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/?agent=writer", viewport={"width": 1400, "height": 600})
    is_live(page)
    page.locator("#scroller").evaluate("e => { e.scrollTop = 400 }")
    top = page.locator("#scroller").evaluate("e => e.scrollTop")
    page.goto(f"{pages.url}/admin/")
    page.go_back()
    expect(page.locator("#rows tr").first).to_be_visible()
    assert page.locator("#scroller").evaluate("e => e.scrollTop") == top
    assert page.url.endswith("/?agent=writer")


def test_keys_alone_do(pages: Ledger, open_page: Open) -> None:
    page = open_page(f"{pages.url}/?session=s1")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("#rows tr").nth(1)
    expect(second).to_have_attribute("aria-selected", "true")
    assert f"sel={second.get_attribute('data-call')}" in page.url
    page.reload()
    expect(second).to_have_attribute("aria-selected", "true")
    page.keyboard.press("o")
    expect(page.locator("#peek")).to_contain_text("New input")
    expect(page.locator("#state")).to_have_attribute("data-state", "held")
    page.keyboard.press("Escape")
    expect(page.locator("#peek")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("[name=q]")).to_be_focused()
    page.keyboard.type("jo")
    assert page.locator("[name=q]").input_value() == "jo"


def test_sorted_calls_say_among_how_many(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    page.get_by_role("link", name="Total").click()
    page.wait_for_url("**/?sort=-latency")
    expect(page.get_by_text("Sorted among the newest 10,000 matching calls")).to_be_visible()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Total")
    assert page.locator("#state").count() == 0


def test_columns_are_chosen(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    page.get_by_text("Columns").click()
    page.get_by_role("link", name="Hide Model").click()
    page.wait_for_url("**/?cols=-model")
    expect(page.locator("th.col-model")).to_be_hidden()
    expect(page.locator("th.col-agent")).to_be_visible()


def test_the_same_rows_for_programs(pages: Ledger) -> None:
    rows = pages.get("/dashboard/calls.json?agent=reader&limit=7").raise_for_status()
    assert len(rows.json()) == 7 and rows.json()[0]["agent_name"] == "reader"
    older = re.findall("<([^>]+)>", rows.headers["link"])[0]
    assert httpx.get(older).json()[0]["seq"] < rows.json()[-1]["seq"]
    say(pages, "x", session="=1+1")
    wait_until(lambda: "=1+1" in pages.get("/dashboard/calls.csv").text)
    table = list(csv.DictReader(io.StringIO(pages.get("/dashboard/calls.csv?limit=1").text)))
    assert table[0]["session_id"] == "'=1+1"


@pytest.mark.parametrize("query", ["colour=red", "limit=0", "before=x", "sort=name", "since=soon"])
def test_an_address_that_cannot_be_read_says_why(pages: Ledger, query: str) -> None:
    page = pages.get(f"/?{query}", headers={"accept": "text/html"})
    assert page.status_code == 400
    assert query.partition("=")[0] in page.text and "<h1>" in page.text


def test_operators_stop_and_resume(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    page.get_by_role("button", name="Stop everything").click()
    page.get_by_label("Reason").fill("too dear")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#stops")).to_contain_text("All calls are stopped: too dear", timeout=15000)
    wait_until(lambda: pages.post("stopped").status_code == 403)
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("#stops")).to_be_empty()
    wait_until(lambda: pages.post("stopped").status_code == 200)


def test_a_newcomer_is_led_to_the_first_call(
    _provider: Provider, open_page: Open, tmp_path: Path
) -> None:
    with Ledger(tmp_path, _provider.url) as ledger:
        page = open_page(ledger.url)
        expect(page.get_by_text("No calls yet")).to_be_visible()
        expect(page.locator("code").first).to_have_text(f"{ledger.url}/v1")
        is_live(page)
        say(ledger, "the first")
        expect(page.locator("#rows tr")).to_contain_text("the first", timeout=15000)
        expect(page.get_by_text("No calls yet")).to_be_hidden()


def test_what_agents_said_runs_nothing(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url)
    is_live(page)
    mine = say(pages, HOSTILE, session=f"{HOSTILE[:20]}-session", agent="<b>agent</b>")
    row = page.locator(f"#c-{mine}")
    expect(row).to_contain_text("<img src=x onerror=alert(1)>", timeout=15000)
    expect(row).to_contain_text("<b>agent</b>")
    assert row.locator("img, b").count() == 0
    expect(row.locator(".hidden-character")).to_have_text("U+202E")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(pages: Ledger, open_page: Open, theme: str) -> None:
    page = open_page(pages.url, color_scheme=theme)
    is_live(page)
    expect(page.locator(".facet").first).to_be_visible()
    assert violations(page) == []


def test_it_fits_a_phone_and_prints_without_bars(pages: Ledger, open_page: Open) -> None:
    page = open_page(pages.url, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.emulate_media(media="print")
    expect(page.locator("header.top")).to_be_hidden()
    expect(page.locator("#rows tr").first).to_be_visible()
