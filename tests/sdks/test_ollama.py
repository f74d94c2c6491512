"""The SDK `ollama` behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import ollama
from tests.sdks.both_ways import (
    BothWays,
    Case,
    by_name,
    complete_case,
    cut_case,
    reply,
    streamed,
)

OLLAMA = by_name(ollama.EXCHANGES)

CHAT = OLLAMA["chat"]
TAGS = b'{"models":[{"model":"llama3.2","size":5}]}'
PULLED = b'{"status":"pulling manifest"}\n{"status":"success"}\n'

CALLS = "ollama_calls.py"
CASES = {
    "whole": complete_case(
        OLLAMA["chat, whole"],
        "chat",
        provider="ollama",
        model_id="llama3.2",
        system_prompt="Be brief.",
        cost_usd=0,
        session_id="whole",
    ),
    "whole-async": complete_case(OLLAMA["chat, whole"], "chat_async"),
    "stream": complete_case(CHAT, "stream", streaming=True),
    "stream-async": complete_case(CHAT, "stream_async"),
    "calls": complete_case(OLLAMA["chat, thinking, then calls"], "stream"),
    "generate": complete_case(OLLAMA["generate, whole"], "generate"),
    "generate-stream": complete_case(OLLAMA["generate, cut off by num_predict"], "generate_stream"),
    "embed": complete_case(OLLAMA["embed"], "embed"),
    "error-404": complete_case(OLLAMA["error body"], "chat", raises="ollama._types.ResponseError"),
    "error-404-of-a-stream": complete_case(
        OLLAMA["error body"], "stream", raises="ollama._types.ResponseError"
    ),
    "error-in-stream": complete_case(
        OLLAMA["error in mid-stream"], "stream", raises="ollama._types.ResponseError"
    ),
    "cut": cut_case(CHAT, "stream", "Hello", raises="httpx.RemoteProtocolError"),
    "models": Case("models", [reply(TAGS)]),
    "pull": Case("pull", [streamed(PULLED, "application/x-ndjson")]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
