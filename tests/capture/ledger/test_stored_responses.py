"""Responses that the provider stores: fetched again or resumed, they are counted once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.conftest import Opened
from tests.support.canned import CLOSE, as_json, chunk, head, send, stream
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


def test_a_response_in_the_background_is_counted_when_it_is_first_fetched(
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
    assert (first["tokens_in"], first["usage_source"]) == (1000, "provider")
    assert Decimal(str(first["cost_usd"])) == Decimal("0.0035")
    for free in (poll, again):
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
    assert (resumed["tokens_in"], resumed["fetch_of"]) == (1000, cut["action_id"])
    assert (cut["tokens_in"], cut["price_source"]) == (None, "fetched")
    assert cut["cost_parts"] == {}
    [correction] = cut["price_corrections"]
    assert Decimal(str(correction["old_cost_usd"])) > 0
    [totals] = [s for s in stack.sessions() if s["session_id"] == session]
    assert totals["total_tokens_in"] == 1000
    assert Decimal(str(totals["total_cost_usd"])) == Decimal("0.0035")
