"""Turns of WebSockets, OpenAI's Realtime and Gemini Live, as they are recorded."""

from __future__ import annotations

from capture.wire.types import ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, compact, data

# https://platform.openai.com/docs/api-reference/realtime-server-events/response/done
REALTIME_USAGE = {
    "total_tokens": 250,
    "input_tokens": 200,
    "output_tokens": 50,
    "input_token_details": {
        "text_tokens": 120,
        "audio_tokens": 80,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 30},
}
REALTIME_COUNTED = Usage(
    tokens_in=200,
    tokens_out=50,
    tokens_cache_read=64,
    tokens_audio_in=80,
    tokens_audio_out=30,
    units={"cache_audio_read_tokens": 0},
    raw=dict(REALTIME_USAGE),
)
RESPONSE = {"id": "resp_1", "object": "realtime.response", "conversation_id": "conv_1"}
SPOKEN = {
    "id": "item_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_audio", "transcript": "Grüße aus Paris."}],
}
PIECE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}

# https://ai.google.dev/api/live#UsageMetadata
LIVE_USAGE = {
    "promptTokenCount": 90,
    "responseTokenCount": 40,
    "totalTokenCount": 130,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 60}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 35}],
}
LIVE_COUNTED = Usage(
    tokens_in=90, tokens_out=40, tokens_audio_in=60, tokens_audio_out=35, raw=dict(LIVE_USAGE)
)

EXCHANGES = [
    Exchange(
        name="a spoken response",
        wire_format="openai_realtime",
        body=data(
            {"type": "response.created", "response": {**RESPONSE, "status": "in_progress"}},
            {"type": "response.output_audio_transcript.delta", **PIECE, "delta": "Grüße "},
            {"type": "response.output_audio.delta", **PIECE, "delta": "AAAA"},
            {"type": "response.output_audio_transcript.delta", **PIECE, "delta": "aus Paris."},
            {
                "type": "response.done",
                "response": {
                    **RESPONSE,
                    "status": "completed",
                    "output": [SPOKEN],
                    "usage": REALTIME_USAGE,
                },
            },
        ),
        expected=ParsedResponse(
            response_id="resp_1",
            content="Grüße aus Paris.",
            stop_reason="completed",
            usage=REALTIME_COUNTED,
            complete=True,
        ),
        first_content=b'"delta":"Gr',
    ),
    Exchange(
        name="cancelled by the user's voice",
        wire_format="openai_realtime",
        body=data(
            {"type": "response.created", "response": {**RESPONSE, "status": "in_progress"}},
            {
                "type": "response.done",
                "response": {
                    **RESPONSE,
                    "status": "cancelled",
                    "status_details": {"type": "cancelled", "reason": "turn_detected"},
                    "output": [],
                    "usage": None,
                },
            },
        ),
        expected=ParsedResponse(response_id="resp_1", stop_reason="turn_detected", complete=True),
    ),
    Exchange(
        name="a denied handshake",
        wire_format="openai_realtime",
        body=compact({"error": {"message": "Incorrect API key provided"}}),
        expected=ParsedResponse(error="Incorrect API key provided", complete=True),
        status=401,
        content_type=PLAIN,
    ),
    Exchange(
        name="a tool call",
        wire_format="gemini_live",
        body=data(
            {
                "toolCall": {
                    "functionCalls": [{"id": "f1", "name": "clock", "args": {"zone": "UTC"}}]
                },
                "usageMetadata": {"promptTokenCount": 10, "responseTokenCount": 5},
            }
        ),
        expected=ParsedResponse(
            tool_calls=[ParsedToolCall("f1", "clock", '{"zone":"UTC"}')],
            stop_reason="toolCall",
            usage=Usage(
                tokens_in=10,
                tokens_out=5,
                raw={"promptTokenCount": 10, "responseTokenCount": 5},
            ),
            complete=True,
        ),
        first_content=b'"functionCalls"',
    ),
    Exchange(
        name="an interrupted voice",
        wire_format="gemini_live",
        body=data(
            {"serverContent": {"modelTurn": {"parts": [{"text": "Hm.", "thought": True}]}}},
            {"serverContent": {"outputTranscription": {"text": "It is "}}},
            {"serverContent": {"outputTranscription": {"text": "noon."}}},
            {"serverContent": {"interrupted": True}},
            {"serverContent": {"turnComplete": True}, "usageMetadata": LIVE_USAGE},
        ),
        expected=ParsedResponse(
            content="It is noon.",
            reasoning="Hm.",
            stop_reason="interrupted",
            usage=LIVE_COUNTED,
            complete=True,
        ),
        first_content=b'"Hm."',
    ),
]
