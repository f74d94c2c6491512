"""The SDK `anthropic` sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import anthropic, endpoint
from tests.sdks.both_ways import (
    BothWays,
    Case,
    answered,
    as_server,
    by_name,
    cut,
    reply,
    understood,
)

MESSAGES = by_name(anthropic.EXCHANGES)
COUNTS = by_name(endpoint.EXCHANGES)

PLAIN, TEXT = MESSAGES["plain"], MESSAGES["text"]
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
LIMITED = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}'
BATCHES = b'{"data":[{"id":"msgbatch_1","type":"message_batch"}],"has_more":false}'

CALLS = "anthropic_calls.py"
CASES = {
    "message": answered(
        PLAIN,
        "message",
        provider="anthropic",
        model_id="claude-opus-5-5",
        system_prompt="Be brief.",
        max_tokens=1024,
        session_id="message",
    ),
    "message-async": answered(PLAIN, "message_async"),
    "message-beta": answered(
        MESSAGES["a search, fast mode, and iterations that the totals leave out"], "message_beta"
    ),
    "events": answered(MESSAGES["iterations in the last event"], "events"),
    "stream": answered(TEXT, "stream", streaming=True),
    "stream-async": answered(TEXT, "stream_async"),
    "thinking-and-tools": answered(MESSAGES["thinking, then tool calls"], "stream"),
    "server-tool": answered(MESSAGES["a tool that Anthropic runs"], "stream"),
    "error-401": answered(
        MESSAGES["error body"], "message", raises="anthropic.AuthenticationError"
    ),
    "error-529": Case(
        "message_once",
        [reply(OVERLOADED, 529)],
        [{"status_code": 529, "outcome": "upstream_error", "error_detail": "Overloaded"}],
        "anthropic.OverloadedError",
    ),
    "tried-again": Case(
        "message",
        [
            reply(OVERLOADED, 529, retry_after_ms="1"),
            reply(LIMITED, 429, retry_after_ms="1"),
            as_server(PLAIN),
        ],
        [
            {"status_code": 529, "attempt": 1, "error_detail": "Overloaded"},
            {"status_code": 429, "attempt": 2, "error_detail": "Slow down"},
            understood(PLAIN, attempt=3),
        ],
    ),
    "cut": cut(TEXT, "events", "Hello", raises="httpx2.RemoteProtocolError"),
    "error-in-stream": answered(
        MESSAGES["error in mid-stream"], "stream", raises="anthropic.APIStatusError"
    ),
    "count": answered(COUNTS["count of a message's input"], "count", cost_usd=0),
    "batches": Case("batches", [reply(BATCHES)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
