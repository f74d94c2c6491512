"""The SDK `mistralai` behaves through the proxy as it does without it."""

from __future__ import annotations

import pytest

from capture.wire.types import JSON
from tests.capture.wire.corpus import chat, endpoint
from tests.sdks.both_ways import (
    BothWays,
    Case,
    Response,
    as_json,
    by_name,
    complete_case,
    cut_case,
    reply,
)

CHAT = by_name(chat.EXCHANGES)
OTHERS = by_name(endpoint.EXCHANGES)

STREAM = CHAT["stream with usage"]
USAGE = {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}
COUNTED = {"tokens_in": 4, "tokens_out": 6}


def completion(message: JSON, finish_reason: str) -> Response:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return as_json(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1764000000,
            "model": "mistral-large-2512",
            "choices": [choice],
            "usage": USAGE,
        }
    )


PLAIN = completion({"role": "assistant", "content": "Grüße"}, "stop")
UNDERSTOOD = {
    "wire_format": "openai_chat",
    "response_model": "mistral-large-2512",
    "content": "Grüße",
    "stop_reason": "stop",
    **COUNTED,
}
CALL = {"id": "D681PevKs", "function": {"name": "weather", "arguments": '{"city": "Rom"}'}}
EMBEDDED = {
    "id": "e1",
    "object": "list",
    "model": "mistral-embed",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}
CONVERSATION = {
    "conversation_id": "conv_1",
    "outputs": [{"type": "message.output", "content": "Hi"}],
    "usage": USAGE,
}
INVALID = b'{"detail":[{"loc":["body","model"],"msg":"unknown model","type":"value_error"}]}'

CALLS = "mistral_calls.py"
CASES = {
    "plain": Case(
        "chat",
        [PLAIN],
        [
            {
                **UNDERSTOOD,
                "model_id": "mistral-large-latest",
                "system_prompt": "Be brief.",
                "temperature": 0.5,
                "session_id": "plain",
            }
        ],
    ),
    "plain-async": Case("chat_async", [PLAIN], [UNDERSTOOD]),
    "tools": Case(
        "chat",
        [completion({"role": "assistant", "tool_calls": [CALL]}, "tool_calls")],
        [
            {
                **COUNTED,
                "stop_reason": "tool_calls",
                "tool_calls": [
                    {"id": "D681PevKs", "name": "weather", "arguments": {"city": "Rom"}}
                ],
            }
        ],
    ),
    "stream": complete_case(STREAM, "stream", streaming=True),
    "stream-async": complete_case(STREAM, "stream_async"),
    "tools-stream": complete_case(
        CHAT["Mistral: content as chunks, a whole tool call with an object"], "stream"
    ),
    "error-422": Case(
        "chat",
        [reply(INVALID, 422)],
        [{"status_code": 422, "outcome": "upstream_error"}],
        "mistralai.client.errors.httpvalidationerror.HTTPValidationError",
    ),
    "error-429": complete_case(
        CHAT["error body"], "chat", raises="mistralai.client.errors.sdkerror.SDKError"
    ),
    "tried-again": Case(
        "chat_again",
        [reply(b'{"message":"Slow down"}', 429), PLAIN],
        [{"status_code": 429, "error_detail": "Slow down"}, UNDERSTOOD],
    ),
    "cut": cut_case(STREAM, "stream", "Grüße", raises="httpx2.RemoteProtocolError"),
    "error-in-stream": complete_case(
        CHAT["an error event in mid-stream"],
        "stream",
        raises="mistralai.client.errors.responsevalidationerror.ResponseValidationError",
    ),
    "agent": Case("agent", [PLAIN], [UNDERSTOOD]),
    "middle": Case("middle", [PLAIN], [{**UNDERSTOOD, "wire_format": "openai_completions"}]),
    "embeddings": Case(
        "embeddings", [as_json(EMBEDDED)], [{"wire_format": "openai_embeddings", "tokens_in": 4}]
    ),
    "moderation": complete_case(OTHERS["moderation"], "moderation"),
    "transcription": complete_case(OTHERS["Mistral: a transcript"], "transcription"),
    "transcription-stream": complete_case(
        OTHERS["Mistral: a transcript, streamed"], "transcription_stream"
    ),
    "speech": complete_case(OTHERS["Mistral: speech"], "speech"),
    "speech-stream": complete_case(OTHERS["Mistral: speech, streamed"], "speech_stream"),
    "conversation": Case("conversation", [as_json(CONVERSATION)]),
    "models": Case("models", [as_json({"object": "list", "data": []})]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_proxy_is_transparent_to_the_sdk(ways: BothWays, name: str) -> None:
    ways.check(name, CASES[name])
