"""One call explained."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import anthropic
import httpx
import openai
import pytest
from playwright.sync_api import expect

from tests.capture.ledger.test_binaries import PNG
from tests.reports.dashboard.conftest import Open, violations
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"
SYSTEM = {"role": "system", "content": "You plan trips."}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def pages(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    env = {f"AGENTLEDGER_BUDGET_{of}": "10" for of in ("SESSION", "AGENT", "DAILY")}
    with Ledger(tmp_path_factory.mktemp("call"), _provider.url, env=env) as ledger:
        yield ledger


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def send(ledger: Ledger, messages: list[Any], session: str, **more: Any) -> str:
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": messages, **more},
        headers={"x-agentledger-session-id": session, "x-agentledger-agent-name": "planner"},
        timeout=30,
    )
    action_id: str = response.headers["x-agentledger-action-id"]
    ledger.explain(action_id)
    return action_id


def address(ledger: Ledger, action_id: str, query: str = "") -> str:
    return f"{ledger.url}/dashboard/calls/{action_id}/{query}"


def test_only_what_is_new_is_shown_at_first(pages: Ledger, open_page: Open) -> None:
    history = [SYSTEM, user("Plan a trip"), assistant("Where to?")]
    send(pages, history[:2], "new")
    second = send(pages, [*history, user("To Lisbon")], "new")
    page = open_page(address(pages, second))
    asked = page.get_by_role("region", name="New input")
    expect(asked).to_contain_text("To Lisbon")
    expect(page.get_by_text("Plan a trip", exact=True)).to_be_hidden()
    page.get_by_text(re.compile("unchanged since")).first.click()
    expect(page.get_by_text("Plan a trip", exact=True)).to_be_visible()
    page.get_by_role("link", name="Full history").click()
    expect(page.get_by_text("Plan a trip", exact=True)).to_be_visible()
    assert "view=full" in page.url
    page.go_back()
    expect(asked).to_be_visible()


def test_what_was_changed_or_removed_is_evidence(pages: Ledger, open_page: Open) -> None:
    send(pages, [user("one\ntwo\nthree"), assistant("yes"), user("dropped"), user("end")], "edit")
    second = send(pages, [user("one\n2\nthree"), assistant("yes"), user("end")], "edit")
    page = open_page(address(pages, second))
    expect(page.locator(".diff .minus")).to_have_text("- two")
    expect(page.locator(".diff .plus")).to_have_text("+ 2")
    expect(page.locator(".removed")).to_contain_text("dropped")


def test_another_call_can_be_compared_with(pages: Ledger, open_page: Open) -> None:
    first = send(pages, [user("a")], "cmp")
    send(pages, [user("a"), user("b")], "cmp")
    third = send(pages, [user("a"), user("b"), user("c")], "cmp")
    page = open_page(address(pages, third, f"?cmp={first}"))
    texts = page.locator(".conversation section").first.locator(".message .block").all_inner_texts()
    assert [text.strip() for text in texts if text.strip()] == ["b", "c"]
    wrong = pages.get(f"/dashboard/calls/{third}/?cmp={uuid4()}", headers={"accept": "text/html"})
    assert wrong.status_code == 400 and "cmp" in wrong.text


def test_tools_are_told_with_their_results(
    pages: Ledger, open_page: Open, provider: Provider
) -> None:
    function = {"name": "weather", "arguments": '{"city":"Lisbon"}'}
    calls = [{"id": "call_7", "type": "function", "function": function}]
    provider.response(*canned.as_json(canned.chat("", tool_calls=calls)))
    first = send(pages, [user("Weather?")], "tools", tools=[TOOL])
    provider.reset()
    result = {"role": "tool", "tool_call_id": "call_7", "content": "17 degrees"}
    asked = {"role": "assistant", "content": None, "tool_calls": calls}
    second = send(pages, [user("Weather?"), asked, result], "tools", tools=[TOOL])
    wait_until(lambda: pages.explain(first)["tool_results"])
    page = open_page(address(pages, first))
    expect(page.locator(".block.tool_call")).to_contain_text("call_7")
    expect(page.locator(".block.tool_call pre")).to_have_text('{\n  "city": "Lisbon"\n}')
    expect(page.locator(".block.tool_result pre")).to_have_text("17 degrees")
    expect(page.get_by_text("Offered:")).to_contain_text("weather")
    page.goto(address(pages, second))
    expect(page.locator(".block.tool_result")).to_contain_text("17 degrees")


def test_cost_is_rate_times_tokens(pages: Ledger, open_page: Open) -> None:
    client = anthropic.Anthropic(
        base_url=pages.url,
        api_key="k",
        default_headers={"x-agentledger-session-id": "cost"},
    )
    with client:
        client.messages.create(
            model="claude-opus-5-5", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )
    call = pages.call("cost")
    page = open_page(address(pages, call["action_id"]))
    rows = page.locator("aside section").first.locator("tbody tr")
    assert rows.count() >= 2
    for row in rows.all():
        tokens, rate, usd = (
            float((cell.get_attribute("title") or cell.inner_text()).split()[0].replace(",", ""))
            for cell in (row.locator("td").nth(0), *row.locator("td span").all())
        )
        assert tokens * rate / 1e6 == pytest.approx(usd, rel=1e-6)


def test_budgets_say_what_was_used_before_and_after(
    pages: Ledger, open_page: Open, provider: Provider
) -> None:
    usage = {"prompt_tokens": 100_000, "completion_tokens": 0, "total_tokens": 100_000}
    provider.response(*canned.as_json({**canned.chat("Much."), "usage": usage}))  # 0.25 USD
    ids = [send(pages, [user(f"dear {n}")], "dear") for n in range(2)]
    page = open_page(address(pages, ids[1]))
    policy = page.locator("section", has=page.get_by_role("heading", name="Policy"))
    expect(policy.get_by_role("row", name="session")).to_have_text(
        re.compile(r"session\s*\$10\.00\s*\$0\.25\s*\$0\.50")
    )
    with sqlite3.connect(pages.folder / "agentledger.db") as db:
        [(before,)] = db.execute(
            "SELECT round(sum(cost_usd), 2) FROM capture_call WHERE seq <"
            " (SELECT seq FROM capture_call WHERE action_id = ?)",
            [UUID(ids[1]).hex],
        )
    db.close()
    for name in ("agent", "daily"):
        row = policy.get_by_role("row", name=name).inner_text().split()
        assert row == [name, "$10.00", f"${before:.2f}", f"${before + 0.25:.2f}"]


def test_each_message_says_its_share(pages: Ledger, open_page: Open, provider: Provider) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000}
    provider.response(*canned.as_json({**canned.chat("Yes."), "usage": usage}))
    action_id = send(pages, [user("x" * 300), assistant("y" * 100)], "shares")
    page = open_page(address(pages, action_id, "?view=full"))
    shares = page.locator(".message .share").all_inner_texts()
    assert shares == [
        "≈ 750 tokens · ≈ $0.001875 · 75.0 %",
        "≈ 250 tokens · ≈ $0.000625 · 25.0 %",
    ]
    page.get_by_role("link", name="New", exact=True).click()
    expect(page.locator(".message .share")).to_have_count(0)


def test_messages_are_copied_as_they_were_said(
    pages: Ledger, open_page: Open, provider: Provider
) -> None:
    provider.response(*canned.as_json(canned.chat("fine")))
    action_id = send(pages, [user("a\u202eb\U000e0041c")], "copied")
    page = open_page(address(pages, action_id), permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator(".hidden-character")).to_have_text(["U+202E", "U+E0041"])
    page.locator("#msg-1").get_by_role("button", name="Copy").click()
    expect(page.locator("#announcement")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "a\u202eb\U000e0041c"
    page.get_by_role("button", name="Copy id").click()
    page.wait_for_function(
        "id => navigator.clipboard.readText().then((t) => t === id)", arg=action_id
    )


def test_it_is_copied_where_browsers_give_no_clipboard(pages: Ledger, open_page: Open) -> None:
    action_id = send(pages, [user("over plain HTTP")], "copied plainly")
    page = open_page(address(pages, action_id), permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("window.given = navigator.clipboard")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.locator("#msg-1").get_by_role("button", name="Copy").click()
    expect(page.locator("#announcement")).to_have_text("Copied")
    assert page.evaluate("window.given.readText()") == "over plain HTTP"


def test_raw_is_what_came_byte_for_byte(pages: Ledger, open_page: Open) -> None:
    action_id = send(pages, [user("tab\tand ünïcode")], "raw")
    page = open_page(address(pages, action_id, "?view=raw"))
    shown = page.locator("#request-text").inner_text()
    assert len(shown.encode()) == pages.explain(action_id)["request_bytes"]
    expect(page.get_by_text("authorization")).to_have_count(0)
    expect(page.get_by_role("region", name="Response")).to_contain_text("content-type")


def test_long_texts_are_cut_and_can_be_had_whole(pages: Ledger, open_page: Open) -> None:
    action_id = send(pages, [user("x" * 200_000 + "THE END")], "long")
    page = open_page(address(pages, action_id))
    assert "THE END" not in page.locator("#msg-1").inner_text()
    page.get_by_role("link", name="Show all (200.0 KB)").first.click()
    expect(page.locator("#msg-1")).to_contain_text("THE END")


def test_images_are_told_by_size_and_hash(pages: Ledger, open_page: Open) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    action_id = send(pages, [{"role": "user", "content": content}], "image")
    page = open_page(address(pages, action_id))
    expect(page.locator(".block .chip")).to_contain_text("image/png")
    expect(page.locator(".block img")).to_have_js_property("complete", True)
    assert page.locator(".block img").evaluate("image => image.naturalWidth") > 0


def test_what_was_said_runs_nothing(pages: Ledger, open_page: Open, provider: Provider) -> None:
    provider.response(*canned.as_json(canned.chat(HOSTILE)))
    action_id = send(
        pages, [user(HOSTILE), {"role": HOSTILE, "content": [HOSTILE, 7]}], HOSTILE[:9]
    )
    for view in ("new", "full", "raw"):
        page = open_page(address(pages, action_id, f"?view={view}"))
        assert page.locator("main img, main script").count() == 0
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator(".hidden-character").first).to_be_attached()


def test_it_leads_on_within_the_list(pages: Ledger, open_page: Open) -> None:
    ids = [send(pages, [user(str(n))], f"walk{n % 2}") for n in range(4)]
    page = open_page(f"{pages.url}/?session=walk0&tail=0")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/dashboard/calls/{ids[2]}/?from=*")
    page.keyboard.press("]")
    page.wait_for_url(f"**/dashboard/calls/{ids[0]}/?from=*")
    page.keyboard.press("[")
    page.wait_for_url(f"**/dashboard/calls/{ids[2]}/?from=*")
    page.get_by_role("link", name="← Back to list").click()
    page.wait_for_url("**/?session=walk0*")


@pytest.mark.parametrize("order", ["q=wander", "sort=-tokens_in&session=wander0"])
def test_it_leads_on_in_a_list_that_is_searched_or_sorted(
    pages: Ledger, open_page: Open, order: str
) -> None:
    for n in range(3):
        send(pages, [user(f"wander {n}")], f"wander{n % 2}")
    page = open_page(f"{pages.url}/?{order}")
    listed = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.call)")
    assert len(listed) >= 2
    page.locator("#rows tr td.col-time a").first.click()
    page.wait_for_url(f"**/dashboard/calls/{listed[0]}/?from=*")
    assert page.get_by_role("link", name="Previous").count() == 0
    page.keyboard.press("]")
    page.wait_for_url(f"**/dashboard/calls/{listed[1]}/?from=*")
    page.keyboard.press("[")
    page.wait_for_url(f"**/dashboard/calls/{listed[0]}/?from=*")


def test_it_can_be_copied_as_curl_without_the_key(pages: Ledger, open_page: Open) -> None:
    client = openai.OpenAI(
        base_url=f"{pages.url}/v1",
        api_key="sk-secret",
        default_headers={"x-agentledger-session-id": "curl"},
    )
    with client:
        # A plain dict is what users write.
        client.chat.completions.create(model="gpt-4o", messages=[user("it's")])  # type: ignore[list-item]
    page = open_page(
        address(pages, pages.call("curl")["action_id"]),
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#announcement")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {pages.url}/v1/chat/completions") and "$API_KEY" in copied
    assert "sk-secret" not in page.content()


def test_it_can_be_deleted_after_a_question(pages: Ledger, open_page: Open) -> None:
    action_id = send(pages, [user("bye")], "bye")
    page = open_page(address(pages, action_id), expected=["404"])
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").last.click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{pages.url}/")
    page.goto(address(pages, action_id))
    expect(page.get_by_text(f"There is no call {action_id}")).to_be_visible()


@pytest.mark.parametrize("view", ["new", "full", "raw"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(pages: Ledger, open_page: Open, view: str, theme: str) -> None:
    send(pages, [SYSTEM, user("a")], "axe")
    action_id = send(pages, [SYSTEM, user("b"), user("c")], "axe", tools=[TOOL])
    page = open_page(address(pages, action_id, f"?view={view}"), color_scheme=theme)
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
