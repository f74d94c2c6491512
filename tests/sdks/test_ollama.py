"""The SDK `ollama` sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import ollama
from tests.sdks.both_ways import (
    BothWays,
    Case,
    answered,
    by_name,
    cut,
    reply,
    streamed,
)

OLLAMA = by_name(ollama.EXCHANGES)

CHAT = OLLAMA["chat"]
TAGS = b'{"models":[{"model":"llama3.2","size":5}]}'
PULLED = b'{"status":"pulling manifest"}\n{"status":"success"}\n'

CALLS = "ollama_calls.py"
CASES = {
    "whole": answered(
        OLLAMA["chat, whole"],
        "chat",
        provider="ollama",
        model_id="llama3.2",
        system_prompt="Be brief.",
        cost_usd=0,
        session_id="whole",
    ),
    "whole-async": answered(OLLAMA["chat, whole"], "chat_async"),
    "stream": answered(CHAT, "stream", streaming=True),
    "stream-async": answered(CHAT, "stream_async"),
    "calls": answered(OLLAMA["chat, thinking, then calls"], "stream"),
    "generate": answered(OLLAMA["generate, whole"], "generate"),
    "generate-stream": answered(OLLAMA["generate, cut off by num_predict"], "generate_stream"),
    "embed": answered(OLLAMA["embed"], "embed"),
    "error-404": answered(OLLAMA["error body"], "chat", raises="ollama._types.ResponseError"),
    "error-404-of-a-stream": answered(
        OLLAMA["error body"], "stream", raises="ollama._types.ResponseError"
    ),
    "error-in-stream": answered(
        OLLAMA["error in mid-stream"], "stream", raises="ollama._types.ResponseError"
    ),
    "cut": cut(CHAT, "stream", "Hello", raises="httpx.RemoteProtocolError"),
    "models": Case("models", [reply(TAGS)]),
    "pull": Case("pull", [streamed(PULLED, "application/x-ndjson")]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
