"""The SDK `cohere` behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from capture.wire.types import JSON
from tests.capture.wire.corpus import cohere
from tests.sdks.both_ways import (
    BothWays,
    Case,
    as_json,
    as_server,
    by_name,
    complete_case,
    cut_case,
    expected_facts,
    reply,
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
    "plain": complete_case(
        PLAIN,
        "chat",
        provider="cohere",
        model_id="command-a-03-2025",
        system_prompt="Be brief.",
        max_tokens=100,
        session_id="plain",
    ),
    "plain-async": complete_case(PLAIN, "chat_async"),
    "stream": complete_case(TEXT, "stream", streaming=True),
    "stream-async": complete_case(TEXT, "stream_async"),
    "tools-stream": complete_case(COHERE["a plan, then two tool calls"], "stream"),
    "thinking": complete_case(COHERE["thinking, then text"], "stream"),
    "error-401": complete_case(
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
            expected_facts(PLAIN),
        ],
    ),
    "cut": cut_case(TEXT, "stream", "The tallest are", raises="httpx.RemoteProtocolError"),
    "error-in-stream": complete_case(COHERE["an error ends the message"], "stream"),
    "embed": complete_case(COHERE["embeddings"], "embed", provider="cohere"),
    "rerank": Case("rerank", [as_json(RANKED)]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
