"""The SDK `mistralai` sees through the proxy what it sees without it."""

from __future__ import annotations

import pytest

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
from tests.wire import chat_exchanges, endpoint_exchanges

CHAT = by_name(chat_exchanges.EXCHANGES)
OTHERS = by_name(endpoint_exchanges.EXCHANGES)

PLAIN, STREAM = CHAT["Mistral: seconds of audio in the prompt"], CHAT["stream with usage"]
INVALID = b'{"detail":[{"loc":["body","model"],"msg":"unknown model","type":"value_error"}]}'

CALLS = "mistral_calls.py"
CASES = {
    "plain": answered(
        PLAIN,
        "chat",
        model_id="mistral-large-latest",
        system_prompt="Be brief.",
        temperature=0.5,
        session_id="plain",
    ),
    "plain-async": answered(PLAIN, "chat_async"),
    "stream": answered(STREAM, "stream", streaming=True),
    "stream-async": answered(STREAM, "stream_async"),
    "tools-stream": answered(
        CHAT["Mistral: content as chunks, a whole tool call with an object"], "stream"
    ),
    "error-422": Case(
        "chat",
        [reply(INVALID, 422)],
        [{"status_code": 422, "outcome": "upstream_error"}],
        "mistralai.client.errors.httpvalidationerror.HTTPValidationError",
    ),
    "error-429": answered(
        CHAT["error body"], "chat", raises="mistralai.client.errors.sdkerror.SDKError"
    ),
    "tried-again": Case(
        "chat_again",
        [reply(b'{"message":"Slow down"}', 429), as_server(PLAIN)],
        [{"status_code": 429, "error_detail": "Slow down"}, understood(PLAIN)],
    ),
    "cut": cut(STREAM, "stream", "Grüße", raises="httpx2.RemoteProtocolError"),
    "error-in-stream": answered(CHAT["an error event in mid-stream"], "stream"),
    "agent": answered(PLAIN, "agent"),
    "middle": answered(OTHERS["Mistral: a message that fills the middle"], "middle"),
    "embeddings": answered(OTHERS["vectors"], "embeddings"),
    "moderation": answered(OTHERS["moderation"], "moderation"),
    "transcription": answered(OTHERS["a transcript, by tokens"], "transcription"),
    "speech": answered(OTHERS["speech"], "speech"),
    "conversation": Case(
        "conversation", [reply(b'{"conversation_id":"conv_1","outputs":[],"usage":{}}')]
    ),
    "models": Case("models", [reply(b'{"object":"list","data":[{"id":"mistral-large"}]}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
