"""The SDK `openai` sees through the proxy what it sees without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.capture.wire.corpus import chat, endpoint, responses
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
RESPONSES = by_name(responses.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

PLAIN, STREAM = CHAT["plain answer"], CHAT["stream with usage"]
QUEUED = RESPONSES["in the background"]
# With an id of its own: of one that another case has brought, nothing would be counted again.
_plain = RESPONSES["plain, with a refusal"]
FETCHED = replace(_plain, body=_plain.body.replace(b"resp_1", b"resp_fetched"))

OVERLOADED = reply(b'{"error":{"message":"Oh no"}}', 500, **{"retry-after-ms": "1"})
TOO_MANY = reply(b'{"error":{"message":"Slow down"}}', 429, **{"retry-after-ms": "1"})

CALLS = "openai_calls.py"
CASES = {
    "chat": answered(
        PLAIN,
        "chat",
        provider="openai",
        model_id="gpt-4o",
        system_prompt="Be brief.",
        temperature=0.5,
        session_id="chat",
    ),
    "chat-async": answered(PLAIN, "chat_async"),
    "chat-stream": answered(STREAM, "chat_stream", streaming=True),
    "chat-stream-async": answered(CHAT["refusal"], "chat_stream_async"),
    "chat-tools": answered(CHAT["plain answer with every kind of tool call"], "chat"),
    "chat-tools-stream": answered(CHAT["parallel tool calls"], "chat_tools"),
    "chat-choices-stream": answered(CHAT["two choices, interleaved"], "chat_stream"),
    "chat-audio": answered(CHAT["audio with its transcript"], "chat_stream"),
    "chat-azure": answered(CHAT["Azure: the filter's chunks first and last"], "chat_stream"),
    "chat-deepseek": answered(
        CHAT["DeepSeek: keep-alive comments, reasoning, cache hits"], "chat_stream"
    ),
    "chat-429": answered(CHAT["error body"], "chat_once", raises="openai.RateLimitError"),
    "chat-404": answered(
        CHAT["vLLM: an error body of its own"], "chat", raises="openai.NotFoundError"
    ),
    "chat-page": Case(
        "chat_once",
        [reply(b"<html>Bad gateway</html>", 502, "text/html")],
        [{"status_code": 502, "outcome": "upstream_error", "content": None}],
        "openai.InternalServerError",
    ),
    "chat-tried-again": Case(
        "chat",
        [OVERLOADED, TOO_MANY, as_server(PLAIN)],
        [
            {"status_code": 500, "attempt": 1, "error_detail": "Oh no"},
            {"status_code": 429, "attempt": 2, "error_detail": "Slow down"},
            understood(PLAIN, attempt=3),
        ],
    ),
    "chat-cut": cut(STREAM, "chat_stream", "Grüße", raises="openai.APIConnectionError"),
    "chat-error-in-stream": answered(
        CHAT["an error event in mid-stream"], "chat_stream", raises="openai.APIError"
    ),
    "chat-error-of-openrouter": answered(
        CHAT["OpenRouter: an error in mid-stream"], "chat_stream", raises="openai.APIError"
    ),
    "response": answered(RESPONSES["plain, with a refusal"], "response"),
    "response-stream": answered(RESPONSES["completed"], "response_stream"),
    "response-stream-async": answered(
        RESPONSES["reasoning, then tool calls"], "response_stream_async"
    ),
    "response-failed": answered(RESPONSES["failed"], "response_stream_async"),
    "response-error": answered(RESPONSES["error event"], "response_stream_async"),
    "response-again": Case(
        "response_again",
        [as_server(QUEUED), as_server(FETCHED)],
        [understood(QUEUED), understood(FETCHED)],
    ),
    "completion": answered(OTHERS["stream with usage"], "completion"),
    "embeddings": answered(OTHERS["vectors as base64"], "embeddings"),
    "moderation": answered(OTHERS["moderation"], "moderation"),
    "image": answered(OTHERS["GPT Image"], "image"),
    "image-stream": answered(OTHERS["stream"], "image_stream"),
    "image-edit": answered(OTHERS["GPT Image"], "image_edit"),
    "transcription": answered(OTHERS["a transcript, by tokens"], "transcription"),
    "subtitles": answered(OTHERS["subtitles"], "subtitles"),
    "transcription-stream": answered(OTHERS["a transcript, streamed"], "transcription_stream"),
    "speech": answered(OTHERS["speech"], "speech"),
    "models": Case(
        "models", [reply(b'{"object":"list","data":[{"id":"gpt-4o","object":"model"}]}')]
    ),
    "upload": Case("upload", [reply(b'{"id":"file-1","object":"file","bytes":3}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_not_seen(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
