"""The SDK `google-genai` behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import gemini
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

EXCHANGES = gemini.EXCHANGES
GEMINI = by_name([exchange for exchange in EXCHANGES if exchange.wire_format == "gemini"])
OTHERS = by_name([exchange for exchange in EXCHANGES if exchange.wire_format != "gemini"])

WHOLE, TEXT = GEMINI["whole, every kind of token"], GEMINI["text"]
LIMITED = GEMINI["error body"]

CALLS = "gemini_calls.py"
CASES = {
    "generate": complete_case(
        WHOLE,
        "generate",
        provider="google",
        model_id="gemini-2.5-flash",
        system_prompt="Be brief.",
        temperature=0.5,
        session_id="generate",
    ),
    "generate-async": complete_case(WHOLE, "generate_async"),
    "stream": complete_case(TEXT, "stream", streaming=True),
    "stream-async": complete_case(TEXT, "stream_async"),
    "thoughts-and-calls": complete_case(GEMINI["thoughts and calls"], "stream"),
    "thoughts-and-calls-async": complete_case(GEMINI["thoughts and calls"], "stream_async"),
    "blocked": complete_case(GEMINI["blocked prompt, whole"], "generate"),
    "error-429": complete_case(LIMITED, "generate", raises="google.genai.errors.ClientError"),
    "error-429-async": complete_case(
        LIMITED, "generate_async", raises="google.genai.errors.ClientError"
    ),
    "tried-again": Case(
        "generate_again",
        [as_server(LIMITED), reply(b'{"error":{"code":503,"message":"Oh no"}}', 503)]
        + [as_server(WHOLE)],
        [
            expected_facts(LIMITED, attempt=1),
            {"status_code": 503, "error_detail": "Oh no"},
            expected_facts(WHOLE),
        ],
    ),
    "cut": cut_case(TEXT, "stream", "Hello", raises="httpx2.RemoteProtocolError"),
    "cut-async": cut_case(
        TEXT, "stream_async", "Hello", raises="aiohttp.client_exceptions.ClientPayloadError"
    ),
    "error-in-stream": complete_case(
        GEMINI["error in mid-stream as an event"],
        "stream",
        raises="google.genai.errors.ClientError",
    ),
    "embeddings": complete_case(OTHERS["embeddings"], "embeddings"),
    "count": complete_case(OTHERS["counted"], "count", cost_usd=0),
    "interaction": complete_case(OTHERS["whole"], "interaction"),
    "interaction-stream": complete_case(OTHERS["thought, text and calls"], "interaction_stream"),
    "interaction-error": complete_case(OTHERS["error event"], "interaction_stream"),
    "models": Case("models", [reply(b'{"models":[{"name":"models/gemini-2.5-flash"}]}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
