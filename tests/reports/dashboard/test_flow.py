"""Flow: who handed over to whom, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from reports.output.formats import agent_colour
from tests.reports.dashboard.conftest import Open, violations
from tests.reports.dashboard.sessions import (
    HOSTILE,
    ask,
    ask_for_long,
    four_agents,
    recorded,
    spent,
    team,
    two_agents,
)
from tests.support.canned import as_json, sleep
from tests.support.ledger import Ledger
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def worked(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with sessions of several kinds."""
    _provider.reset()
    env = {"AGENTLEDGER_BUDGET_SESSION": "1", "AGENTLEDGER_BUDGET_ACTION": "warn"}
    folder = tmp_path_factory.mktemp("flow")
    with Ledger(folder, _provider.url, env=env) as ledger:
        two_agents(ledger, "two")
        spent(ledger, _provider, "spent")
        ask(ledger, "many", "lead")
        for number in range(12):
            ask(ledger, "many", f"coder-{number}", handoff_from="lead")
        ask(ledger, "many", "lead", handoff_from="coder-3")
        recorded(ledger, "many", 14)
        ask(ledger, HOSTILE, HOSTILE, handoff_to="</script><b>x")
        recorded(ledger, HOSTILE, 1)
        team(ledger, _provider, "team")
        yield ledger


def flow(page: Page) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """What is drawn: what each node says by its name, and the edges."""
    page.wait_for_selector("[data-painted]", state="attached")
    nodes = page.locator("svg .node").evaluate_all(
        "nodes => nodes.map(one => [one.dataset.node, one.getAttribute('aria-label')])"
    )
    edges = page.locator("svg .edge").evaluate_all(
        "edges => edges.map(one => [one.dataset.from, one.dataset.to])"
    )
    return dict(nodes), {(source, target) for source, target in edges}


def test_two_agents_hand_over(worked: Ledger, open_page: Open) -> None:
    nodes, edges = flow(open_page(f"{worked.url}/dashboard/flow/?session=two"))
    assert nodes.keys() == {"orchestrator", "researcher"}
    assert edges == {("orchestrator", "researcher")}
    assert re.match(r"orchestrator, 1 call, cost \$0\.\d+, .* per call$", nodes["orchestrator"])
    assert nodes["researcher"].startswith("researcher, 2 calls, cost $0.")


def test_four_agents_are_a_chain(worked: Ledger, open_page: Open, tmp_path: Path) -> None:
    four_agents(worked, "four", tmp_path)
    recorded(worked, "four", 4)
    nodes, edges = flow(open_page(f"{worked.url}/dashboard/flow/?session=four"))
    chain = ["PlannerAgent", "SearchAgent", "WriterAgent", "EmailAgent"]
    assert list(nodes) == chain
    assert edges == set(zip(chain, chain[1:], strict=False))


def test_without_a_session_it_is_the_latest_and_says_so(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/")
    expect(page.get_by_text("latest session", exact=True)).to_be_visible()
    page.get_by_label("Session", exact=True).fill("two")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Flow: two")
    expect(page.get_by_text("latest session", exact=True)).to_have_count(0)


def test_a_click_selects_dims_the_rest_and_lists_the_calls(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=many")
    flow(page)
    lead = page.locator("svg [data-node=lead]")
    lead.click()
    expect(lead).to_have_attribute("aria-pressed", "true")
    panel = page.locator("#node")
    expect(panel.locator("tr[data-call]")).to_have_count(2)
    expect(panel.locator("tr[data-call] a").first).to_have_attribute(
        "href", re.compile("/dashboard/calls/[0-9a-f-]{36}/")
    )
    expect(page).to_have_url(re.compile(r"node=lead"))
    expect(page.get_by_role("link", name="Trace", exact=True)).to_have_attribute(
        "href", "/dashboard/trace/?session=many&q=lead"
    )
    page.reload()
    expect(page.locator("svg [data-node=lead]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page).not_to_have_url(re.compile("node="))


def test_siblings_of_one_role_are_one_until_clicked(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=many")
    nodes, edges = flow(page)
    tie = next(name for name in nodes if name.startswith("coder ×"))
    assert len(nodes) == 2 and nodes[tie].startswith("coder ×12, 12 calls")
    assert edges == {("lead", tie), (tie, "lead")}
    expect(page.locator(".edge text", has_text="↺")).to_have_count(1)
    page.get_by_role("button", name=re.compile("coder ×12")).click()
    expect(page.locator("svg .node")).to_have_count(13)


def test_a_link_to_one_of_many_siblings_shows_it(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=many&node=coder-3")
    flow(page)
    expect(page.locator("svg [data-node=coder-3]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#node tr[data-call]")).to_have_count(1)


def test_the_keyboard_alone_walks_along_the_edges(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two")
    flow(page)
    page.locator("svg .node[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#node h2")).to_have_text("researcher")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#node h2")).to_have_text("orchestrator")
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", level=1)).to_have_text("Trace: two")
    expect(page.get_by_label("Find an agent")).to_have_value("orchestrator")


def test_zoom_is_in_the_address_and_survives(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two")
    flow(page)
    expect(page.locator("#zoom")).to_have_text("100 %")
    for _ in range(5):
        page.keyboard.press("-")
    expect(page.locator("#zoom")).to_have_text("33 %")
    expect(page.locator("svg .node text").first).to_be_hidden()
    expect(page).to_have_url(re.compile("z="))
    page.reload()
    expect(page.locator("#zoom")).to_have_text("33 %")
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text("100 %")
    page.keyboard.press("f")
    expect(page.locator("svg .node text").first).to_be_visible()


def test_warnings_and_errors_have_a_word_and_a_border(worked: Ledger, open_page: Open) -> None:
    nodes, _ = flow(open_page(f"{worked.url}/dashboard/flow/?session=spent"))
    assert "1 budget warnings" in nodes["spender"]
    page = open_page(f"{worked.url}/dashboard/flow/?session=team")
    nodes, edges = flow(page)
    assert "1 errors" in nodes["coder"]
    assert edges == {("lead", "coder"), ("coder", "tester")}
    assert page.locator(".edge.inferred").evaluate_all(
        "edges => edges.map(one => one.dataset.to)"
    ) == ["tester"]
    expect(page.locator(".edge.inferred title")).to_contain_text("inferred from times")


def test_runs_are_drawn_one_by_one(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two")
    flow(page)
    page.get_by_role("button", name="By run").click()
    expect(page.locator("svg [data-node='researcher#1']")).to_be_visible()
    expect(page).to_have_url(re.compile("mode=exp"))
    page.reload()
    expect(page.get_by_role("button", name="By run")).to_have_attribute("aria-pressed", "true")


def test_the_table_says_what_the_picture_says(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two")
    flow(page)
    expect(page.locator("#table")).to_be_hidden()
    page.get_by_role("button", name="View as table").click()
    row = page.locator("#table table").nth(1).locator("tbody tr")
    expect(row).to_contain_text("orchestrator")
    expect(row).to_contain_text("from handoff headers")


def test_without_scripts_the_table_is_there(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two", java_script_enabled=False)
    expect(page.locator("#table tbody tr").first).to_contain_text("orchestrator")
    expect(page.locator(".canvas-box")).to_be_hidden()


def test_the_picture_can_be_taken_away(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two")
    flow(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download SVG").click()
    text = download.value.path().read_text()
    assert download.value.suggested_filename == "flow-two.svg"
    assert text.startswith("<svg") and "researcher" in text and "light-dark" not in text


def test_calls_under_way_are_on_their_agents(
    worked: Ledger, open_page: Open, provider: Provider
) -> None:
    ask(worked, "reviewed", "writer")
    recorded(worked, "reviewed", 1)
    page = open_page(f"{worked.url}/dashboard/flow/?session=reviewed")
    flow(page)
    provider.response(sleep(3), *as_json({}), times=1)
    thread = ask_for_long(worked, "reviewed", "reviewer")
    reviewer = page.locator("svg [data-node=reviewer]")
    expect(reviewer).to_have_attribute("aria-label", re.compile("1 running"))
    colour = f"agent-{agent_colour('reviewer')} "
    expect(reviewer).to_have_attribute("class", re.compile(colour))
    thread.join()
    expect(reviewer).to_have_attribute("aria-label", re.compile("^reviewer, 1 call"))
    expect(reviewer).to_have_attribute("class", re.compile(colour))


def test_it_goes_on_by_itself(worked: Ledger, open_page: Open) -> None:
    ask(worked, "live", "first")
    recorded(worked, "live", 1)
    page = open_page(f"{worked.url}/dashboard/flow/?session=live")
    assert flow(page)[0].keys() == {"first"}
    ask(worked, "live", "second", handoff_from="first")
    expect(page.locator("svg [data-node=second]")).to_be_visible()


def test_a_session_that_is_deleted_is_gone(worked: Ledger, open_page: Open) -> None:
    ask(worked, "gone", "somebody")
    recorded(worked, "gone", 1)
    page = open_page(f"{worked.url}/dashboard/flow/?session=gone", expected=["404"])
    flow(page)
    httpx.delete(f"{worked.url}/api/sessions/gone").raise_for_status()
    expect(page.get_by_role("alert")).to_contain_text("There is no session gone")


def test_hostile_names_are_text(worked: Ledger, open_page: Open) -> None:
    page = open_page(worked.url)
    page.goto(f"{worked.url}/dashboard/flow/?session={HOSTILE}")
    nodes, edges = flow(page)
    assert nodes.keys() == {HOSTILE, "</script><b>x"} and len(edges) == 1
    page.locator("svg .node").first.click()
    expect(page.locator("#node h2")).to_have_text(HOSTILE)
    expect(page.locator("#node tr[data-call]")).to_have_count(1)


def test_what_is_not_there_is_said(worked: Ledger, open_page: Open) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=two&node=nobody")
    expect(page.get_by_role("alert")).to_contain_text("No agent nobody")
    response = worked.get("/dashboard/flow/?session=nowhere", headers={"accept": "text/html"})
    assert response.status_code == 404 and "There is no session" in response.text
    assert worked.get("/dashboard/flow.json?session=nowhere").status_code == 404
    response = worked.get("/dashboard/flow/?mode=no", headers={"accept": "text/html"})
    assert response.status_code == 400 and "one of agg, exp, all" in response.text
    assert worked.get("/dashboard/flow.json").json() == {"session": ["a session's id"]}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(worked: Ledger, open_page: Open, theme: str) -> None:
    page = open_page(f"{worked.url}/dashboard/flow/?session=many&node=lead", color_scheme=theme)
    flow(page)
    expect(page.locator("#node tr[data-call]")).to_have_count(2)
    page.get_by_role("button", name="View as table").click()
    assert violations(page) == []


def test_narrow_screens_and_paper(worked: Ledger, open_page: Open) -> None:
    page = open_page(
        f"{worked.url}/dashboard/flow/?session=many&node=lead",
        viewport={"width": 320, "height": 640},
    )
    flow(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation")).to_have_count(0)
    expect(page.locator("svg .node").first).to_be_visible()
