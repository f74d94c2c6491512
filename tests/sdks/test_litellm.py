"""LiteLLM, as a library in the agent, behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import anthropic, chat, cohere, endpoint, gemini, ollama
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
from tests.support import canned

CHAT = by_name(chat.EXCHANGES)
ANTHROPIC = by_name(anthropic.EXCHANGES)
GEMINI = by_name(gemini.EXCHANGES)
OLLAMA = by_name(ollama.EXCHANGES)
COHERE = by_name(cohere.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

PLAIN, STREAM = CHAT["plain response"], CHAT["stream with usage"]

CALLS = "litellm_calls.py"
CASES = {
    "openai": complete_case(
        PLAIN, "openai", model_id="gpt-4o", system_prompt="Be brief.", session_id="openai"
    ),
    "openai-async": complete_case(PLAIN, "openai_async"),
    "openai-stream": complete_case(STREAM, "openai_stream", streaming=True),
    "openai-stream-async": complete_case(STREAM, "openai_stream_async"),
    "openai-tools": complete_case(CHAT["parallel tool calls"], "openai_stream"),
    "openai-429": complete_case(
        CHAT["error body"], "openai", raises="litellm.exceptions.RateLimitError"
    ),
    "openai-tried-again": Case(
        "openai_again",
        [reply(b'{"error":{"message":"Oh no"}}', 500, retry_after_ms="1"), as_server(PLAIN)],
        [{"status_code": 500, "attempt": 1}, expected_facts(PLAIN, attempt=2)],
    ),
    "openai-cut": cut_case(
        STREAM, "openai_stream", "Grüße", raises="litellm.exceptions.MidStreamFallbackError"
    ),
    "openai-error-in-stream": complete_case(
        CHAT["an error event in mid-stream"],
        "openai_stream",
        raises="litellm.exceptions.MidStreamFallbackError",
    ),
    "response": Case(
        "response",
        [as_json(canned.response("Hi"))],
        [{"wire_format": "openai_responses", "content": "Hi", "tokens_in": 11, "tokens_out": 5}],
    ),
    "embeddings": complete_case(OTHERS["vectors"], "embeddings"),
    "anthropic": complete_case(ANTHROPIC["plain"], "anthropic", provider="anthropic"),
    "anthropic-stream": complete_case(ANTHROPIC["thinking, then tool calls"], "anthropic_stream"),
    "anthropic-401": complete_case(
        ANTHROPIC["error body"], "anthropic", raises="litellm.exceptions.AuthenticationError"
    ),
    "gemini": complete_case(GEMINI["whole, every kind of token"], "gemini", provider="google"),
    "gemini-stream": complete_case(GEMINI["text"], "gemini_stream"),
    "ollama": complete_case(OLLAMA["generate, whole"], "ollama", provider="ollama", cost_usd=0),
    "mistral": complete_case(PLAIN, "mistral"),
    "groq": Case(
        "groq",
        [as_json({**canned.chat("Hi"), "service_tier": "on_demand"})],
        [{"wire_format": "openai_chat", "content": "Hi", "service_tier": "on_demand"}],
    ),
    "cohere": complete_case(COHERE["plain"], "cohere", provider="cohere"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
