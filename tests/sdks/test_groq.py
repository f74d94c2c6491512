"""The SDK `groq` behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import chat, endpoint
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

CHAT = by_name(chat.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

PLAIN, STREAM = CHAT["Groq, plain: x_groq counts memory, not tokens"], CHAT["Groq: usage in x_groq"]

CALLS = "groq_calls.py"
CASES = {
    "plain": complete_case(
        PLAIN,
        "chat",
        path="/case-plain/openai/v1/chat/completions",
        model_id="llama-3.3-70b-versatile",
        system_prompt="Be brief.",
        session_id="plain",
    ),
    "plain-async": complete_case(PLAIN, "chat_async"),
    "stream": complete_case(STREAM, "stream", streaming=True),
    "stream-async": complete_case(STREAM, "stream_async"),
    "tools": complete_case(CHAT["plain response with every kind of tool call"], "chat"),
    "tools-stream": complete_case(CHAT["parallel tool calls"], "stream"),
    "error-429": complete_case(CHAT["error body"], "chat_once", raises="groq.RateLimitError"),
    "tried-again": Case(
        "chat",
        [
            reply(b'{"error":{"message":"Slow down"}}', 429, retry_after="0.001"),
            reply(b'{"error":{"message":"Oh no"}}', 500, retry_after="0.001"),
            as_server(PLAIN),
        ],
        [
            {"status_code": 429, "attempt": 1, "error_detail": "Slow down"},
            {"status_code": 500, "attempt": 2, "error_detail": "Oh no"},
            expected_facts(PLAIN, attempt=3),
        ],
    ),
    "cut": cut_case(
        CHAT["stream with usage"], "stream", "Grüße", raises="httpx.RemoteProtocolError"
    ),
    "error-in-stream": complete_case(
        CHAT["an error event in mid-stream"], "stream", raises="groq.APIError"
    ),
    "embeddings": complete_case(OTHERS["vectors"], "embeddings"),
    "transcription": complete_case(OTHERS["Whisper, by seconds"], "transcription"),
    "speech": complete_case(OTHERS["speech"], "speech"),
    "models": Case("models", [reply(b'{"object":"list","data":[{"id":"llama-3.3"}]}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
