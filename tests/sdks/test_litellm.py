"""LiteLLM, as a library in the agent, sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import anthropic, chat, cohere, endpoint, gemini, ollama
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
from tests.support import canned

CHAT = by_name(chat.EXCHANGES)
ANTHROPIC = by_name(anthropic.EXCHANGES)
GEMINI = by_name(gemini.EXCHANGES)
OLLAMA = by_name(ollama.EXCHANGES)
COHERE = by_name(cohere.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

PLAIN, STREAM = CHAT["plain answer"], CHAT["stream with usage"]

CALLS = "litellm_calls.py"
CASES = {
    "openai": answered(
        PLAIN, "openai", model_id="gpt-4o", system_prompt="Be brief.", session_id="openai"
    ),
    "openai-async": answered(PLAIN, "openai_async"),
    "openai-stream": answered(STREAM, "openai_stream", streaming=True),
    "openai-stream-async": answered(STREAM, "openai_stream_async"),
    "openai-tools": answered(CHAT["parallel tool calls"], "openai_stream"),
    "openai-429": answered(
        CHAT["error body"], "openai", raises="litellm.exceptions.RateLimitError"
    ),
    "openai-tried-again": Case(
        "openai_again",
        [reply(b'{"error":{"message":"Oh no"}}', 500, retry_after_ms="1"), as_server(PLAIN)],
        [{"status_code": 500, "attempt": 1}, understood(PLAIN, attempt=2)],
    ),
    "openai-cut": cut(
        STREAM, "openai_stream", "Grüße", raises="litellm.exceptions.MidStreamFallbackError"
    ),
    "openai-error-in-stream": answered(
        CHAT["an error event in mid-stream"],
        "openai_stream",
        raises="litellm.exceptions.MidStreamFallbackError",
    ),
    "response": Case(
        "response",
        [as_json(canned.response("Hi"))],
        [{"wire_format": "openai_responses", "content": "Hi", "tokens_in": 11, "tokens_out": 5}],
    ),
    "embeddings": answered(OTHERS["vectors"], "embeddings"),
    "anthropic": answered(ANTHROPIC["plain"], "anthropic", provider="anthropic"),
    "anthropic-stream": answered(ANTHROPIC["thinking, then tool calls"], "anthropic_stream"),
    "anthropic-401": answered(
        ANTHROPIC["error body"], "anthropic", raises="litellm.exceptions.AuthenticationError"
    ),
    "gemini": answered(GEMINI["whole, every kind of token"], "gemini", provider="google"),
    "gemini-stream": answered(GEMINI["text"], "gemini_stream"),
    "ollama": answered(OLLAMA["generate, whole"], "ollama", provider="ollama", cost_usd=0),
    "mistral": answered(PLAIN, "mistral"),
    "groq": Case(
        "groq",
        [as_json({**canned.chat("Hi"), "service_tier": "on_demand"})],
        [{"wire_format": "openai_chat", "content": "Hi", "service_tier": "on_demand"}],
    ),
    "cohere": answered(COHERE["plain"], "cohere", provider="cohere"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
