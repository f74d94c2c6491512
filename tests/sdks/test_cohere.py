"""The SDK `cohere` sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

from capture.wire.types import JSON
from tests.capture.wire.corpus import cohere
from tests.sdks.both_ways import (
    BothWays,
    Case,
    answered,
    as_json,
    as_server,
    by_name,
    cut,
    reply,
    understood,
)

COHERE = by_name(cohere.EXCHANGES)

PLAIN, TEXT = COHERE["plain"], COHERE["text with citations"]
RANKED: JSON = {
    "id": "r1",
    "results": [{"index": 0, "relevance_score": 0.9}],
    "meta": {"billed_units": {"search_units": 1}},
}

CALLS = "cohere_calls.py"
CASES = {
    "plain": answered(
        PLAIN,
        "chat",
        provider="cohere",
        model_id="command-a-03-2025",
        system_prompt="Be brief.",
        max_tokens=100,
        session_id="plain",
    ),
    "plain-async": answered(PLAIN, "chat_async"),
    "stream": answered(TEXT, "stream", streaming=True),
    "stream-async": answered(TEXT, "stream_async"),
    "tools-stream": answered(COHERE["a plan, then two tool calls"], "stream"),
    "thinking": answered(COHERE["thinking, then text"], "stream"),
    "error-401": answered(
        COHERE["error body"], "chat", raises="cohere.errors.unauthorized_error.UnauthorizedError"
    ),
    "tried-again": Case(
        "chat_again",
        [
            reply(b'{"message":"Slow down"}', 429, retry_after_ms="1"),
            reply(b'{"message":"Oh no"}', 500, retry_after_ms="1"),
            as_server(PLAIN),
        ],
        [
            {"status_code": 429, "error_detail": "Slow down"},
            {"status_code": 500, "error_detail": "Oh no"},
            understood(PLAIN),
        ],
    ),
    "cut": cut(TEXT, "stream", "The tallest are", raises="httpx.RemoteProtocolError"),
    "error-in-stream": answered(COHERE["an error ends the message"], "stream"),
    "embed": answered(COHERE["embeddings"], "embed", provider="cohere"),
    "rerank": Case("rerank", [as_json(RANKED)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
