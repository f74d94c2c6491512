"""Trace: calls on one time axis, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.reports.dashboard.conftest import Open, violations
from tests.reports.dashboard.sessions import (
    HOSTILE,
    ask,
    ask_for_long,
    recorded,
    spent,
    team,
    two_agents,
)
from tests.support.canned import stream
from tests.support.ledger import Ledger
from tests.support.provider import Provider

PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


class Worked(NamedTuple):
    ledger: Ledger
    team: list[str]  # action_ids
    spent: list[str]

    def trace(self, session: str, more: str = "") -> str:
        return f"{self.ledger.url}/dashboard/trace/?session={session}{more}"


@pytest.fixture(scope="module")
def worked(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    _provider.reset()
    env = {"AGENTLEDGER_BUDGET_SESSION": "1", "AGENTLEDGER_BUDGET_ACTION": "warn"}
    folder = tmp_path_factory.mktemp("trace")
    with Ledger(folder, _provider.url, env=env) as ledger:
        two_agents(ledger, "two")
        response = stream([PIECE] * 5 + [b"data: [DONE]\n\n"], pause=0.05)
        _provider.response(*response, times=1)
        ask(ledger, "streamed", "writer")
        warned = spent(ledger, _provider, "spent")
        ask(ledger, HOSTILE, HOSTILE)
        for _ in range(40):
            ask(ledger, "long", "worker")
        ids = team(ledger, _provider, "team")
        for session, count in (("two", 3), ("streamed", 1), (HOSTILE, 1), ("long", 40)):
            recorded(ledger, session, count)
        yield Worked(ledger, ids, warned)


def rows(page: Page) -> list[str]:
    page.wait_for_selector("[data-painted]", state="attached")
    return page.locator(".row .name").all_inner_texts()


def row(page: Page, action_id: str) -> Locator:
    return page.locator(f".row[data-call='{action_id}']")


def test_calls_are_below_what_led_to_them(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"))
    names = [re.sub(r"\$\S+", "$", name) for name in rows(page)]
    assert names == ["lead", "coder ×6 · ≥ $ · 1 ✕", "lead"]
    grid = page.get_by_role("treegrid", name="Calls over time")
    expect(grid).to_have_attribute("aria-rowcount", "4")
    fold = page.locator(".row.fold")
    expect(fold).to_have_attribute("aria-level", "2")
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(fold.locator(".bar")).to_have_class(re.compile("bad"))  # it hides an error
    fold.locator(".toggle").click()
    expect(page.locator(".row[aria-level='3']")).to_have_count(6)
    expect(row(page, worked.team[1])).to_have_attribute("aria-rowindex", "4")
    expect(row(page, worked.team[7])).to_have_attribute("aria-level", "4")  # the tester


def test_a_bar_opens_its_call(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"))
    rows(page)
    bar = row(page, worked.team[0]).locator("a.bar")
    expect(bar).to_have_attribute("href", f"/dashboard/calls/{worked.team[0]}/")


def test_connectors_say_why(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team", f"&sel={worked.team[1]}"))
    rows(page)  # what is selected is not hidden in a fold
    expect(row(page, worked.team[1])).to_have_attribute("aria-selected", "true")
    expect(page.locator("#about-row")).to_contain_text("set by its parent-action-id header")
    row(page, worked.team[7]).hover()
    expect(page.locator("#about-row")).to_contain_text("inferred from times")
    assert page.locator(".lines path").first.get_attribute("d")
    assert page.locator(".lines path.inferred").get_attribute("d")


def test_a_stream_is_pale_until_its_first_token(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("streamed"))
    rows(page)
    bar = page.locator(".row .bar")
    wait, whole = bar.locator(".wait").bounding_box(), bar.bounding_box()
    assert wait and whole and 0 <= wait["width"] < whole["width"]
    expect(bar.locator(".tick")).to_be_visible()


def test_a_warning_is_an_amber_border_that_leaves_the_colour(
    worked: Worked, open_page: Open
) -> None:
    page = open_page(worked.trace("spent"))
    rows(page)
    bar = row(page, worked.spent[1]).locator(".bar")
    expect(bar).to_have_css("outline-offset", "1px")
    expect(bar).to_have_css("outline-width", "2px")
    expect(row(page, worked.spent[1]).locator(".icon")).to_have_text("⚠")
    plain = row(page, worked.spent[0]).locator(".bar")
    colour = "one => getComputedStyle(one).backgroundColor"
    assert bar.evaluate(colour) == plain.evaluate(colour)
    page.keyboard.press("w")
    expect(row(page, worked.spent[1])).to_have_attribute("aria-selected", "true")


def test_the_keyboard_alone(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"))
    rows(page)
    selected = page.locator(".row[aria-selected=true] .name")
    page.keyboard.press("j")
    expect(selected).to_have_text("lead")
    page.keyboard.press("ArrowDown")
    expect(selected).to_contain_text("coder ×6")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".row[aria-level='3']")).to_have_count(6)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".row[aria-level='3']")).to_have_count(0)
    page.keyboard.press("e")  # opens what hides the error
    expect(row(page, worked.team[3])).to_have_attribute("aria-selected", "true")
    page.keyboard.press("o")
    expect(page.get_by_role("complementary")).to_contain_text("upstream_error 500")
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary")).to_have_count(0)
    page.keyboard.press("k")
    expect(row(page, worked.team[2])).to_have_attribute("aria-selected", "true")
    page.keyboard.press("c")
    expect(page.locator(".bar.critical").first).to_be_visible()
    expect(page).to_have_url(re.compile("crit=true"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".row")).to_have_count(2)
    expect(selected).to_have_text("lead +7")
    page.keyboard.press("*")
    expect(page.locator(".row")).to_have_count(10)


def test_what_the_reader_chose_survives_a_reload(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"))
    rows(page)
    page.locator(".row.fold .toggle").click()
    page.get_by_label("Lock time").check()
    page.get_by_label("Find an agent").fill("coder")
    expect(page.locator("#n-found")).to_have_text("6 found")
    page.keyboard.press("Enter")
    # What changes in one go is written in one go; on a slow machine it comes in several.
    parameters = r"(?=.*sel=)(?=.*t0=0)(?=.*t1=\d)(?=.*collapsed=f\d)(?=.*q=coder)"
    expect(page).to_have_url(re.compile(parameters))
    page.reload()
    rows(page)
    expect(page.locator(".row[aria-level='3']")).to_have_count(6)
    expect(row(page, worked.team[1])).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Lock time")).to_be_checked()
    expect(row(page, worked.team[0])).to_have_class(re.compile("dim"))


def test_rows_are_few_however_many_calls_there_are(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("long"), viewport={"width": 900, "height": 500})
    rows(page)
    grid = page.get_by_role("treegrid", name="Calls over time")
    expect(grid).to_have_attribute("aria-rowcount", "41")
    assert page.locator(".row").count() < 30
    first = page.locator(".axis .at").first.inner_text()
    page.keyboard.press("j")
    page.keyboard.press("End")
    expect(page.locator(".row[aria-rowindex='41']")).to_be_in_viewport()
    expect(page.locator(".axis .at").first).not_to_have_text(first)  # time follows the rows
    page.set_viewport_size({"width": 900, "height": 900})
    expect(page.locator(".row[aria-rowindex='25']")).to_be_visible()
    shown = page.locator(".row").evaluate_all("rows => rows.map(one => one.ariaRowIndex)")
    assert len(shown) == len(set(shown))
    page.set_viewport_size({"width": 900, "height": 500})
    page.get_by_label("Lock time").check()
    page.keyboard.press("k")
    page.keyboard.press("Home")
    chip = page.locator(".row[aria-rowindex='2'] .off")
    expect(chip).to_have_text(re.compile("^‹ "))
    chip.click()
    expect(page.locator(".row[aria-rowindex='2'] .bar")).to_be_visible()


def test_only_what_is_below_one_call(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team", f"&focus={worked.team[0]}"))
    assert rows(page)[0] == "lead" and len(rows(page)) < 4
    expect(page.locator("#focus")).to_contain_text("Showing only calls below lead")
    page.locator("#focus button").click()
    expect(page.locator(".row", has_text="lead")).to_have_count(2)
    expect(page).not_to_have_url(re.compile("focus="))


def test_time_is_chosen_on_the_small_map(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"))
    rows(page)
    box = page.locator(".map canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 10)
    page.mouse.up()
    expect(page.get_by_label("Lock time")).to_be_checked()
    expect(page).to_have_url(re.compile(r"t0=\d+&t1=\d+"))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("t0="))
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"t0=\d+&t1=\d+"))


def test_the_tree_is_as_wide_as_the_reader_left_it(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"))
    rows(page)
    edge = page.get_by_role("separator", name="Width of the tree")
    for _ in range(3):
        edge.press("ArrowRight")
    wide = edge.get_attribute("aria-valuenow")
    page.reload()
    rows(page)
    expect(edge).to_have_attribute("aria-valuenow", str(wide))


def test_calls_under_way_are_hatched_and_end_in_place(
    worked: Worked, open_page: Open, provider: Provider
) -> None:
    ask(worked.ledger, "live", "first")
    recorded(worked.ledger, "live", 1)
    page = open_page(worked.trace("live"))
    assert rows(page) == ["first"]
    provider.response(*stream([PIECE] * 8 + [b"data: [DONE]\n\n"], pause=0.5), times=1)
    thread = ask_for_long(worked.ledger, "live", "second")
    running = page.locator(".bar.running")
    expect(running).to_have_count(1)
    expect(page.locator(".row", has_text="second").locator(".cost")).to_have_text("—")
    thread.join()
    expect(page.locator(".row")).to_have_count(2)
    expect(running).to_have_count(0)
    expect(page.locator("#totals")).to_contain_text("2 calls · ")
    expect(page.locator(".row[data-call] .name")).to_have_text(["first", "second"])


def test_hostile_names_are_text(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.ledger.url)
    page.goto(worked.trace(HOSTILE))
    assert rows(page) == [HOSTILE]
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.locator("#peek h2")).to_have_text(HOSTILE)


def test_what_is_not_there_is_said(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team", "&sel=01a217c5-8853-72dd-b973-cf8834162a7a"))
    expect(page.locator("#missing")).to_contain_text("No call 01a217c5")
    response = worked.ledger.get("/dashboard/trace/?session=no", headers={"accept": "text/html"})
    assert response.status_code == 404 and "There is no session" in response.text
    assert worked.ledger.get("/dashboard/trace.json?session=no").status_code == 404


def test_without_scripts_there_is_a_table(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("two"), java_script_enabled=False)
    expect(page.locator("noscript tbody tr")).to_have_count(3)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(worked: Worked, open_page: Open, theme: str) -> None:
    page = open_page(worked.trace("team", "&crit=true"), color_scheme=theme)
    rows(page)
    page.keyboard.press("e")
    page.keyboard.press("o")
    assert violations(page) == []


def test_narrow_screens_and_paper(worked: Worked, open_page: Open) -> None:
    page = open_page(worked.trace("team"), viewport={"width": 320, "height": 640})
    rows(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation")).to_have_count(0)
    expect(page.locator(".row").first).to_be_visible()
