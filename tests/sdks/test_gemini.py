"""The SDK `google-genai` sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus import gemini
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

EXCHANGES = gemini.EXCHANGES
GEMINI = by_name([exchange for exchange in EXCHANGES if exchange.wire_format == "gemini"])
OTHERS = by_name([exchange for exchange in EXCHANGES if exchange.wire_format != "gemini"])

WHOLE, TEXT = GEMINI["whole, every kind of token"], GEMINI["text"]
LIMITED = GEMINI["error body"]

CALLS = "gemini_calls.py"
CASES = {
    "generate": answered(
        WHOLE,
        "generate",
        provider="google",
        model_id="gemini-2.5-flash",
        system_prompt="Be brief.",
        temperature=0.5,
        session_id="generate",
    ),
    "generate-async": answered(WHOLE, "generate_async"),
    "stream": answered(TEXT, "stream", streaming=True),
    "stream-async": answered(TEXT, "stream_async"),
    "thoughts-and-calls": answered(GEMINI["thoughts and calls"], "stream"),
    "thoughts-and-calls-async": answered(GEMINI["thoughts and calls"], "stream_async"),
    "blocked": answered(GEMINI["blocked prompt, whole"], "generate"),
    "error-429": answered(LIMITED, "generate", raises="google.genai.errors.ClientError"),
    "error-429-async": answered(
        LIMITED, "generate_async", raises="google.genai.errors.ClientError"
    ),
    "tried-again": Case(
        "generate_again",
        [as_server(LIMITED), reply(b'{"error":{"code":503,"message":"Oh no"}}', 503)]
        + [as_server(WHOLE)],
        [
            understood(LIMITED, attempt=1),
            {"status_code": 503, "error_detail": "Oh no"},
            understood(WHOLE),
        ],
    ),
    "cut": cut(TEXT, "stream", "Hello", raises="httpx2.RemoteProtocolError"),
    "cut-async": cut(
        TEXT, "stream_async", "Hello", raises="aiohttp.client_exceptions.ClientPayloadError"
    ),
    "error-in-stream": answered(
        GEMINI["error in mid-stream as an event"],
        "stream",
        raises="google.genai.errors.ClientError",
    ),
    "embeddings": answered(OTHERS["embeddings"], "embeddings"),
    "count": answered(OTHERS["counted"], "count", cost_usd=0),
    "interaction": answered(OTHERS["whole"], "interaction"),
    "interaction-stream": answered(OTHERS["thought, text and calls"], "interaction_stream"),
    "interaction-error": answered(OTHERS["error event"], "interaction_stream"),
    "models": Case("models", [reply(b'{"models":[{"name":"models/gemini-2.5-flash"}]}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
