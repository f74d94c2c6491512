"""The SDK `openai` behaves through the proxy as it does without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.capture.wire.corpus import chat, endpoint, responses
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
RESPONSES = by_name(responses.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

PLAIN, STREAM = CHAT["plain response"], CHAT["stream with usage"]
_queued = RESPONSES["in the background"]
QUEUED = replace(_queued, body=_queued.body.replace(b"resp_1", b"resp_fetched"))
# With an id of its own: of one that another case has brought, nothing would be counted again.
_plain = RESPONSES["plain, with a refusal"]
FETCHED = replace(_plain, body=_plain.body.replace(b"resp_1", b"resp_fetched"))
USED = {"tokens_in": 30, "tokens_out": 12, "tokens_cache_read": 20, "tokens_reasoning": 0}

OVERLOADED = reply(b'{"error":{"message":"Oh no"}}', 500, **{"retry-after-ms": "1"})
TOO_MANY = reply(b'{"error":{"message":"Slow down"}}', 429, **{"retry-after-ms": "1"})

CALLS = "openai_calls.py"
CASES = {
    "chat": complete_case(
        PLAIN,
        "chat",
        provider="openai",
        model_id="gpt-4o",
        system_prompt="Be brief.",
        temperature=0.5,
        session_id="chat",
    ),
    "chat-async": complete_case(PLAIN, "chat_async"),
    "chat-stream": complete_case(STREAM, "chat_stream", streaming=True),
    "chat-stream-async": complete_case(CHAT["refusal"], "chat_stream_async"),
    "chat-tools": complete_case(CHAT["plain response with every kind of tool call"], "chat"),
    "chat-tools-stream": complete_case(CHAT["parallel tool calls"], "chat_tools"),
    "chat-choices-stream": complete_case(CHAT["two choices, interleaved"], "chat_stream"),
    "chat-audio": complete_case(CHAT["audio with its transcript"], "chat_stream"),
    "chat-azure": complete_case(CHAT["Azure: the filter's chunks first and last"], "chat_stream"),
    "chat-deepseek": complete_case(
        CHAT["DeepSeek: keep-alive comments, reasoning, cache hits"], "chat_stream"
    ),
    "chat-429": complete_case(CHAT["error body"], "chat_once", raises="openai.RateLimitError"),
    "chat-404": complete_case(
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
            expected_facts(PLAIN, attempt=3),
        ],
    ),
    "chat-cut": cut_case(STREAM, "chat_stream", "Grüße", raises="openai.APIConnectionError"),
    "chat-error-in-stream": complete_case(
        CHAT["an error event in mid-stream"], "chat_stream", raises="openai.APIError"
    ),
    "chat-error-of-openrouter": complete_case(
        CHAT["OpenRouter: an error in mid-stream"], "chat_stream", raises="openai.APIError"
    ),
    "response": complete_case(RESPONSES["plain, with a refusal"], "response"),
    "response-stream": complete_case(RESPONSES["completed"], "response_stream"),
    "response-stream-async": complete_case(
        RESPONSES["reasoning, then tool calls"], "response_stream_async"
    ),
    "response-failed": complete_case(RESPONSES["failed"], "response_stream_async"),
    "response-error": complete_case(RESPONSES["error event"], "response_stream_async"),
    "response-again": Case(
        "response_again",
        [as_server(QUEUED), as_server(FETCHED)],
        # What is fetched later counts on the call that asked for it.
        [expected_facts(QUEUED, **USED), expected_facts(FETCHED, **dict.fromkeys(USED))],
    ),
    "completion": complete_case(OTHERS["stream with usage"], "completion"),
    "embeddings": complete_case(OTHERS["vectors as base64"], "embeddings"),
    "moderation": complete_case(OTHERS["moderation"], "moderation"),
    "image": complete_case(OTHERS["GPT Image"], "image"),
    "image-stream": complete_case(OTHERS["stream"], "image_stream"),
    "image-edit": complete_case(OTHERS["GPT Image"], "image_edit"),
    "transcription": complete_case(OTHERS["a transcript, by tokens"], "transcription"),
    "subtitles": complete_case(OTHERS["subtitles"], "subtitles"),
    "transcription-stream": complete_case(OTHERS["a transcript, streamed"], "transcription_stream"),
    "speech": complete_case(OTHERS["speech"], "speech"),
    "models": Case(
        "models", [reply(b'{"object":"list","data":[{"id":"gpt-4o","object":"model"}]}')]
    ),
    "upload": Case("upload", [reply(b'{"id":"file-1","object":"file","bytes":3}')]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
