"""The SDK `groq` sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import chat, endpoint
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

CHAT = by_name(chat.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

PLAIN, STREAM = CHAT["Groq, plain: x_groq counts memory, not tokens"], CHAT["Groq: usage in x_groq"]

CALLS = "groq_calls.py"
CASES = {
    "plain": answered(
        PLAIN,
        "chat",
        path="/case-plain/openai/v1/chat/completions",
        model_id="llama-3.3-70b-versatile",
        system_prompt="Be brief.",
        session_id="plain",
    ),
    "plain-async": answered(PLAIN, "chat_async"),
    "stream": answered(STREAM, "stream", streaming=True),
    "stream-async": answered(STREAM, "stream_async"),
    "tools": answered(CHAT["plain answer with every kind of tool call"], "chat"),
    "tools-stream": answered(CHAT["parallel tool calls"], "stream"),
    "error-429": answered(CHAT["error body"], "chat_once", raises="groq.RateLimitError"),
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
            understood(PLAIN, attempt=3),
        ],
    ),
    "cut": cut(CHAT["stream with usage"], "stream", "Grüße", raises="httpx.RemoteProtocolError"),
    "error-in-stream": answered(
        CHAT["an error event in mid-stream"], "stream", raises="groq.APIError"
    ),
    "embeddings": answered(OTHERS["vectors"], "embeddings"),
    "transcription": answered(OTHERS["Whisper, by seconds"], "transcription"),
    "speech": answered(OTHERS["speech"], "speech"),
    "models": Case("models", [reply(b'{"object":"list","data":[{"id":"llama-3.3"}]}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
