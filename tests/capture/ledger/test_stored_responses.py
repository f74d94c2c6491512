"""Answers that are fetched later, fetched again or resumed: they are counted once, on the call that
asked for them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.conftest import Opened
from tests.support.canned import CLOSE, as_json, chat, chunk, head, send, stream, whole
from tests.support.ledger import Ledger
from tests.support.provider import Provider

USAGE = {
    "input_tokens": 1000,
    "output_tokens": 100,
    "total_tokens": 1100,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def response(id_: str, status: str) -> dict[str, Any]:
    done = status == "completed"
    text = {"type": "output_text", "text": "Done.", "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    return {
        "id": id_,
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-2024-08-06",
        "status": status,
        "background": True,
        "output": [{**message, "content": [text]}] if done else [],
        "usage": USAGE if done else None,
        "error": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def client(ledger: Ledger, session: str) -> OpenAI:
    headers = {"x-agentledger-session-id": session}
    return OpenAI(base_url=f"{ledger.url}/v1", api_key="k", default_headers=headers, max_retries=0)


def event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def test_a_response_in_the_background_is_counted_on_the_call_that_asked_for_it(
    stack: Ledger, provider: Provider, opened: Opened
) -> None:
    session = "background"
    agent = opened(client(stack, session))
    for status in ("queued", "in_progress", "completed", "completed"):
        provider.response(*as_json(response("resp_b", status)), times=1)
    agent.responses.create(model="gpt-4o", input="Work", background=True)
    assert agent.responses.retrieve("resp_b").status == "in_progress"
    for _ in range(2):
        assert agent.responses.retrieve("resp_b").output_text == "Done."

    parsed_request, poll, first, again = stack.calls(session, count=4)
    assert [c["method"] for c in (parsed_request, poll, first, again)] == [
        "POST",
        "GET",
        "GET",
        "GET",
    ]
    assert parsed_request["response_id"] == "resp_b"
    assert [c["fetch_of"] for c in (poll, first, again)] == [parsed_request["action_id"]] * 3
    assert (parsed_request["tokens_in"], parsed_request["usage_source"]) == (1000, "provider")
    assert Decimal(str(parsed_request["cost_usd"])) == Decimal("0.0035")
    assert parsed_request["response_model"] == "gpt-4o-2024-08-06"
    assert parsed_request["usage"]["output_tokens"] == 100
    for free in (poll, first, again):
        assert (free["tokens_in"], free["usage_source"]) == (None, "none")
        assert (Decimal(str(free["cost_usd"])), free["price_source"]) == (Decimal(0), "fetched")
        assert free["notes"] is None
    assert again["content"] == "Done."
    [totals] = [s for s in stack.sessions() if s["session_id"] == session]
    assert totals["total_tokens_in"] == 1000
    assert Decimal(str(totals["total_cost_usd"])) == Decimal("0.0035")


def test_a_stream_that_is_resumed_replaces_the_estimate_of_the_one_that_was_cut(
    stack: Ledger, provider: Provider, opened: Opened
) -> None:
    session = "resumed"
    begun = event("response.created", sequence_number=0, response=response("resp_r", "in_progress"))
    delta = event(
        "response.output_text.delta",
        sequence_number=1,
        item_id="m",
        output_index=0,
        content_index=0,
        delta="Do",
        logprobs=[],
    )
    end = event("response.completed", sequence_number=2, response=response("resp_r", "completed"))
    chunked = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
    provider.response(send(head(200, chunked)), send(chunk(begun + delta)), CLOSE, times=1)
    agent = opened(client(stack, session))
    with pytest.raises(openai.APIConnectionError):
        list(agent.responses.create(model="gpt-4o", input="Work", stream=True))
    [cut] = stack.calls(session)
    assert (cut["usage_source"], cut["outcome"]) == ("estimated", "upstream_cut")

    provider.response(*stream([end]), times=1)
    list(agent.responses.retrieve("resp_r", stream=True, starting_after=1))
    cut, resumed = stack.calls(session, count=2)
    assert (resumed["tokens_in"], resumed["fetch_of"]) == (None, cut["action_id"])
    assert (resumed["cost_usd"], resumed["price_source"]) == (0, "fetched")
    assert (cut["tokens_in"], cut["usage_source"]) == (1000, "provider")
    assert Decimal(str(cut["cost_usd"])) == Decimal("0.0035")
    [correction] = cut["price_corrections"]
    assert Decimal(str(correction["old_cost_usd"])) > 0
    [totals] = [s for s in stack.sessions() if s["session_id"] == session]
    assert totals["total_tokens_in"] == 1000
    assert Decimal(str(totals["total_cost_usd"])) == Decimal("0.0035")


# --- xAI's deferred completions: https://docs.x.ai/docs/guides/deferred-chat-completions ---

# 1000 × 3 USD and 100 × 15 USD a million: https://docs.x.ai/docs/models, grok-4-0709.
LATE_USD = Decimal("0.0045")


def late(model: str = "grok-4-0709") -> dict[str, Any]:
    """The completion, whose id is not the one by which it is fetched."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return {**chat("late", model=model), "id": "c1", "usage": usage}


def defer(ledger: Ledger, provider: Provider, request_id: str, session: str | None) -> str:
    """Asks for a completion that comes later; the asking call's id."""
    provider.response(*as_json({"request_id": request_id}), times=1)
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={
            "model": "grok-4",
            "deferred": True,
            "messages": [{"role": "user", "content": "Work"}],
        },
        headers={"x-agentledger-session-id": session} if session else {},
    )
    assert response.json() == {"request_id": request_id}
    return response.headers["x-agentledger-action-id"]


def fetch(
    ledger: Ledger, provider: Provider, request_id: str, steps: list[Any], session: str | None
) -> str:
    provider.response(*steps, times=1)
    response = httpx.get(
        f"{ledger.url}/v1/chat/deferred-completion/{request_id}",
        headers={"x-agentledger-session-id": session} if session else {},
    )
    return response.headers["x-agentledger-action-id"]


NOT_YET = whole(b"", status=202, headers=[])


@pytest.mark.parametrize("session", ["deferred", None])
def test_a_deferred_completion_is_counted_once_however_often_it_is_polled(
    stack: Ledger, provider: Provider, session: str | None
) -> None:
    request_id = f"r-{session}"
    asked = defer(stack, provider, request_id, session)
    recorded = stack.explain(asked)
    assert (recorded["tokens_in"], recorded["cost_usd"]) == (None, None)
    assert (recorded["usage_source"], recorded["outcome"]) == ("none", "completed")
    answers = [NOT_YET, NOT_YET, as_json(late()), as_json(late())]
    fetches = [fetch(stack, provider, request_id, steps, session) for steps in answers]
    *polls, first, again = [stack.explain(id_) for id_ in fetches]
    for call in (*polls, first, again):
        assert call["fetch_of"] == asked
        assert (call["tokens_in"], call["cost_usd"]) == (None, 0)
        assert (call["price_source"], call["notes"]) == ("fetched", None)
    assert [call["content"] for call in (*polls, first)] == [None, None, "late"]
    paid = stack.explain(asked)
    assert (paid["tokens_in"], paid["tokens_out"]) == (1000, 100)
    assert (paid["usage_source"], paid["model_id"]) == ("provider", "grok-4")
    assert Decimal(str(paid["cost_usd"])) == LATE_USD
    [correction] = paid["price_corrections"]
    assert (correction["old_cost_usd"], correction["old_price_source"]) == (None, "unknown")
    if session:
        [totals] = [s for s in stack.sessions() if s["session_id"] == session]
        assert (totals["total_tokens_in"], totals["total_tokens_out"]) == (1000, 100)
        assert Decimal(str(totals["total_cost_usd"])) == LATE_USD
        assert (totals["call_count"], totals["error_count"]) == (5, 0)


def test_an_answer_stands_on_its_own_once_if_the_call_that_asked_is_deleted(
    stack: Ledger, provider: Provider
) -> None:
    asked = defer(stack, provider, "r-deleted", "late-deleted")
    stack.explain(asked)
    assert httpx.delete(f"{stack.url}/api/calls/{asked}").status_code == 204
    steps = [NOT_YET, as_json(late()), as_json(late())]
    ids = [fetch(stack, provider, "r-deleted", one, "late-fetched") for one in steps]
    poll, first, again = [stack.explain(id_) for id_ in ids]
    assert (first["tokens_in"], first["tokens_out"]) == (1000, 100)
    assert Decimal(str(first["cost_usd"])) == LATE_USD
    assert [call["cost_usd"] for call in (poll, again)] == [0, 0]
    assert (first["fetch_of"], again["fetch_of"]) == (poll["action_id"], poll["action_id"])


def test_a_cancellation_brings_what_was_used_until_then(
    stack: Ledger, provider: Provider, opened: Opened
) -> None:
    session = "cancelled"
    agent = opened(client(stack, session))
    provider.response(*as_json(response("resp_c", "queued")), times=1)
    agent.responses.create(model="gpt-4o", input="Work", background=True)
    done = {**response("resp_c", "completed"), "status": "cancelled"}
    provider.response(*as_json(done), times=1)
    agent.responses.cancel("resp_c")
    asked, cancelled = stack.calls(session, count=2)
    assert (asked["tokens_in"], cancelled["tokens_in"]) == (1000, None)
    assert (cancelled["fetch_of"], cancelled["method"]) == (asked["action_id"], "POST")
    assert (cancelled["stop_reason"], cancelled["cost_usd"]) == ("cancelled", 0)


def test_usage_that_came_later_is_priced_again_like_any_other(
    fresh: Ledger, provider: Provider
) -> None:
    with fresh as ledger:
        asked = defer(ledger, provider, "r", "s")
        ledger.explain(asked)
        ledger.explain(fetch(ledger, provider, "r", as_json(late()), "s"))
        ledger.stop()
        assert "0 of 1 calls would be" in ledger.command("reprice", "--dry-run").stdout
        ledger.env["AGENTLEDGER_PRICING"] = json.dumps({"grok-4": [1, 10]})
        ledger.command("reprice")
        ledger.start()
        paid = ledger.explain(asked)
        assert Decimal(str(paid["cost_usd"])) == Decimal("0.002")
        [totals] = ledger.sessions()
        assert Decimal(str(totals["total_cost_usd"])) == Decimal("0.002")
