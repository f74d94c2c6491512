"""The SDK `anthropic` behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import anthropic, endpoint
from tests.sdks.both_ways import (
    BothWays,
    Case,
    as_server,
    by_name,
    complete_case,
    cut_case,
    expected_facts,
    reply,
)

MESSAGES = by_name(anthropic.EXCHANGES)
COUNTS = by_name(endpoint.EXCHANGES)

PLAIN, TEXT = MESSAGES["plain"], MESSAGES["text"]
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
LIMITED = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}'
BATCHES = b'{"data":[{"id":"msgbatch_1","type":"message_batch"}],"has_more":false}'

CALLS = "anthropic_calls.py"
CASES = {
    "message": complete_case(
        PLAIN,
        "message",
        provider="anthropic",
        model_id="claude-opus-5-5",
        system_prompt="Be brief.",
        max_tokens=1024,
        session_id="message",
    ),
    "message-async": complete_case(PLAIN, "message_async"),
    "message-beta": complete_case(
        MESSAGES["a search, fast mode, and iterations that the totals leave out"], "message_beta"
    ),
    "events": complete_case(MESSAGES["iterations in the last event"], "events"),
    "stream": complete_case(TEXT, "stream", streaming=True),
    "stream-async": complete_case(TEXT, "stream_async"),
    "thinking-and-tools": complete_case(MESSAGES["thinking, then tool calls"], "stream"),
    "server-tool": complete_case(MESSAGES["a tool that Anthropic runs"], "stream"),
    "error-401": complete_case(
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
            expected_facts(PLAIN, attempt=3),
        ],
    ),
    "cut": cut_case(TEXT, "events", "Hello", raises="httpx2.RemoteProtocolError"),
    "error-in-stream": complete_case(
        MESSAGES["error in mid-stream"], "stream", raises="anthropic.APIStatusError"
    ),
    "count": complete_case(COUNTS["count of a message's input"], "count", cost_usd=0),
    "batches": Case("batches", [reply(BATCHES)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
