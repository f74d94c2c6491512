"""GET /session/{id} in pages, by field, with an ETag; what /explain/{id} says is around a call."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from capture.ledger.message_refs import pack_refs, unpack_refs
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

PREFIX = "x-agentledger-"


def converse(ledger: Ledger, session: str, n_calls: int, **fields: str) -> list[str]:
    """Calls of a history that grows by a response and a question; their action_ids."""
    headers = {PREFIX + "session-id": session}
    headers |= {PREFIX + name.replace("_", "-"): value for name, value in fields.items()}
    history: list[dict[str, Any]] = []
    action_ids = []
    for number in range(n_calls):
        history.append({"role": "user", "content": f"question {number}"})
        body = {"model": "m", "messages": history, "tools": [{"type": "function"}]}
        response = httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=headers)
        action_ids.append(response.headers["x-agentledger-action-id"])
        history.append({"role": "assistant", "content": f"answer {number}"})
    return action_ids


def test_pages_lead_through_all_calls(stack: Ledger, provider: Provider) -> None:
    action_ids = converse(stack, "pages", 5)
    stack.calls("pages", count=5)
    seen = []
    url = f"{stack.url}/session/pages?limit=2&fields=action_id,messages"
    while url:
        response = httpx.get(url).raise_for_status()
        seen += response.json()
        url = response.links.get("next", {}).get("url", "")
    assert [call["action_id"] for call in seen] == action_ids
    assert [len(call["messages"]) for call in seen] == [1, 3, 5, 7, 9]
    assert list(seen[0]) == ["action_id", "messages"]


def test_calls_after_a_call_are_requested_by_its_id_or_seq(
    stack: Ledger, provider: Provider
) -> None:
    session = f"after-{uuid4()}"
    action_ids = converse(stack, session, 3)
    calls = stack.calls(session, count=3)
    for after in (action_ids[0], action_ids[0].upper(), calls[0]["seq"]):
        found = stack.get(f"/session/{session}?after={after}").json()
        assert found == calls[1:]
    assert stack.get(f"/session/{session}?after={action_ids[2]}").json() == []


def test_fields_are_named_or_left_out(ledger: Ledger, provider: Provider) -> None:
    converse(ledger, "fields", 2)
    whole = ledger.calls("fields", count=2)
    for name in whole[0]:
        alone = ledger.get(f"/session/fields?fields={name}").json()
        assert alone == [{name: call[name]} for call in whole]
        others = ledger.get(f"/session/fields?fields=-{name}").json()
        assert others == [{n: v for n, v in call.items() if n != name} for call in whole]
    without = ledger.get("/session/fields?fields=-messages,-tools").json()
    assert list(without[0]) == [name for name in whole[0] if name not in ("messages", "tools")]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("fields=nothing", "fields"),
        ("fields=content,-messages", "fields"),
        ("fields=content,,usage", "fields"),
        ("after=nothing", "after"),
        ("after=99999999999999999999999", "after"),
        ("after=01a20c13-d16f-74d4-89cc-0550f9949054", "after"),
        ("before=1", "before"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    ledger: Ledger, provider: Provider, query: str, name: str
) -> None:
    session = f"bad-{uuid4()}"
    converse(ledger, session, 1)
    ledger.calls(session)
    response = ledger.get(f"/session/{session}?{query}")
    assert response.status_code == 400
    assert list(response.json()) == [name]


def test_an_unchanged_session_is_not_sent_again(stack: Ledger, provider: Provider) -> None:
    converse(stack, "same", 1)
    stack.calls("same")
    first = stack.get("/session/same")
    tag = {"if-none-match": first.headers["etag"]}
    again = stack.get("/session/same", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert stack.get("/session/same?limit=1", headers=tag).status_code == 200
    converse(stack, "same", 1)
    calls = stack.calls("same", count=2)
    changed = stack.get("/session/same", headers=tag)
    assert (changed.status_code, changed.json()) == (200, calls)


def test_a_tools_result_changes_the_tag(ledger: Ledger, provider: Provider) -> None:
    tool_call = {"id": "t1", "function": {"name": "f", "arguments": "{}"}}
    provider.response(*canned.as_json(canned.chat("x", tool_calls=[tool_call])))
    converse(ledger, "tools", 1)
    ledger.calls("tools")
    before = ledger.get("/session/tools?limit=1")
    assert before.json()[0]["tool_results"] == []
    message = {"role": "tool", "tool_call_id": "t1", "content": "42"}
    httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "m", "messages": [message]},
        headers={PREFIX + "session-id": "tools"},
    )
    ledger.calls("tools", count=2)
    after = ledger.get("/session/tools?limit=1", headers={"if-none-match": before.headers["etag"]})
    assert after.json()[0]["tool_results"][0]["content"] == "42"


def test_head_has_the_tag_and_no_body(stack: Ledger, provider: Provider) -> None:
    converse(stack, "head", 1)
    stack.calls("head")
    response = httpx.head(f"{stack.url}/session/head")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["etag"] == stack.get("/session/head").headers["etag"]


def test_long_sessions_are_complete(stack: Ledger, provider: Provider) -> None:
    """More than one page of the database, more than one chunk of the response."""
    text = "x" * 3000
    headers = {PREFIX + "session-id": "long"}
    with httpx.Client(base_url=stack.url) as agent:
        for number in range(520):
            messages = [{"role": "user", "content": f"{number} {text}"}]
            body = {"model": "m", "messages": messages}
            agent.post("/v1/chat/completions", json=body, headers=headers)
    calls = stack.calls("long", count=520)
    assert [call["messages"][0]["content"] for call in calls] == [
        f"{number} {text}" for number in range(520)
    ]
    page = stack.get("/session/long", headers={"accept": "text/html"})
    assert (page.status_code, "next" in page.links) == (200, True)


# --- one call, and those around it ---


def test_a_call_is_linked_to_those_around_it(stack: Ledger, provider: Provider) -> None:
    action_ids = converse(stack, "a/b", 3)
    [child] = converse(stack, "a/b", 1, agent_name="helper", parent_action_id=action_ids[1])
    stack.calls("a/b", count=4)
    first, middle, last, helped = (stack.explain(id_) for id_ in (*action_ids, child))
    paths = [f"/explain/{id_}" for id_ in (*action_ids, child)]
    assert middle["links"] == {
        "session": "/session/a%2Fb",
        "parent": None,
        "previous": paths[0],
        "next": paths[2],
        "children": [paths[3]],
    }
    assert (first["links"]["previous"], first["links"]["children"]) == (None, [])
    assert (helped["links"]["parent"], helped["links"]["next"]) == (paths[1], None)
    assert last["links"]["next"] == paths[3]
    for link in (middle["links"]["session"], *middle["links"]["children"]):
        assert stack.get(link).status_code == 200
    assert [call["new_messages_from"] for call in (first, middle, last, helped)] == [0, 1, 3, 0]


def test_a_call_alone_is_linked_to_nothing(stack: Ledger, provider: Provider) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    unknown = {PREFIX + "parent-action-id": str(uuid4())}
    response = httpx.post(f"{stack.url}/v1/chat/completions", json=body, headers=unknown)
    call = stack.explain(response.headers["x-agentledger-action-id"])
    assert call["links"] == {
        "session": None, "parent": None, "previous": None, "next": None, "children": []
    }  # fmt: skip
    assert call["new_messages_from"] == 0


def test_an_unknown_parameter_of_explain_is_refused(ledger: Ledger, provider: Provider) -> None:
    [action_id] = converse(ledger, "one", 1)
    ledger.explain(action_id)
    assert ledger.get(f"/explain/{action_id}?fields=content").status_code == 400


@pytest.mark.parametrize(
    "refs",
    [[], [1], [5, 6, 7, 8], [1000, 1001, 3, 2**40, 1002, 1002], [9, 1, 70, 6, 200, 137, 200]],
    ids=str,
)
def test_references_are_packed_and_unpacked(refs: list[int]) -> None:
    assert unpack_refs(pack_refs(refs)) == refs
