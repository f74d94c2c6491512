"""Cohere's chat, version 2, as its SDK 7.3.1 declares it."""

from __future__ import annotations

from typing import Any

from capture.wire.types import JSON, BilledUsage, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, compact, named

USAGE: JSON = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 8.0},
    "tokens": {"input_tokens": 71.0, "output_tokens": 8.0},
    "cached_tokens": 64.0,
}
COUNTED = Usage(
    tokens_in=71,
    tokens_out=8,
    tokens_cache_read=64,
    billed=[BilledUsage(None, Usage(tokens_in=5, tokens_out=8))],
    raw=USAGE,
)

EMBEDDED: JSON = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 2.0}}

START = {"id": "c14c80c3", "type": "message-start", "delta": {"message": {"role": "assistant"}}}


def event(kind: str, index: int | None = None, **message: JSON) -> dict[str, JSON]:
    where = {} if index is None else {"index": index}
    return {"type": kind, **where, "delta": {"message": message}}


def text(index: int, piece: str) -> dict[str, JSON]:
    return event("content-delta", index, content={"text": piece})


def thinking(index: int, piece: str) -> dict[str, JSON]:
    return event("content-delta", index, content={"thinking": piece})


def call(index: int, id: str, name: str, arguments: str = "") -> dict[str, JSON]:
    function = {"name": name, "arguments": arguments}
    return event(
        "tool-call-start", index, tool_calls={"id": id, "type": "function", "function": function}
    )


def arguments(index: int, piece: str) -> dict[str, JSON]:
    return event("tool-call-delta", index, tool_calls={"function": {"arguments": piece}})


def end(reason: str, usage: JSON = USAGE, **more: JSON) -> dict[str, JSON]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": usage, **more}}


def response(**expected: Any) -> ParsedResponse:
    return ParsedResponse(**{"response_id": "c14c80c3", "complete": True, **expected})


EXCHANGES = [
    Exchange(
        "text with citations",
        "cohere_chat",
        named(
            START,
            event("content-start", 0, content={"type": "text", "text": ""}),
            text(0, "The tallest are"),
            text(0, " emperor pingüins."),
            {
                "type": "citation-start",
                "index": 0,
                "delta": {
                    "message": {
                        "citations": {
                            "start": 16,
                            "end": 23,
                            "text": "emperor",
                            "sources": [{"type": "document", "id": "doc:0"}],
                        }
                    }
                },
            },
            {"type": "citation-end", "index": 0},
            {"type": "content-end", "index": 0},
            end("COMPLETE"),
        ),
        response(
            content="The tallest are emperor pingüins.", stop_reason="COMPLETE", usage=COUNTED
        ),
        first_content=b'"The tallest are"',
    ),
    Exchange(
        "a plan, then two tool calls",
        "cohere_chat",
        named(
            START,
            event("tool-plan-delta", tool_plan="I will"),
            event("tool-plan-delta", tool_plan=" look."),
            call(0, "weather_1", "weather"),
            arguments(0, '{"city":'),
            arguments(0, ' "Köln"}'),
            {"type": "tool-call-end", "index": 0},
            call(1, "now_1", "now", "{}"),
            {"type": "tool-call-end", "index": 1},
            end("TOOL_CALL"),
        ),
        response(
            reasoning="I will look.",
            tool_calls=[
                ParsedToolCall("weather_1", "weather", '{"city": "Köln"}'),
                ParsedToolCall("now_1", "now", "{}"),
            ],
            stop_reason="TOOL_CALL",
            usage=COUNTED,
        ),
        first_content=b'"I will"',
    ),
    Exchange(
        "tool calls alone",
        "cohere_chat",
        named(START, call(0, "f_1", "f"), arguments(0, '{"a":1}'), end("TOOL_CALL")),
        response(
            tool_calls=[ParsedToolCall("f_1", "f", '{"a":1}')],
            stop_reason="TOOL_CALL",
            usage=COUNTED,
        ),
        first_content=b'"f_1"',
    ),
    Exchange(
        "thinking, then text",
        "cohere_chat",
        named(
            START,
            event("content-start", 0, content={"type": "thinking", "thinking": ""}),
            thinking(0, "Let me "),
            thinking(0, "see."),
            {"type": "content-end", "index": 0},
            event("content-start", 1, content={"type": "text", "text": ""}),
            text(1, "42"),
            {"type": "content-end", "index": 1},
            end("MAX_TOKENS"),
        ),
        response(content="42", reasoning="Let me see.", stop_reason="MAX_TOKENS", usage=COUNTED),
        first_content=b'"Let me "',
    ),
    Exchange(
        "an error ends the message",
        "cohere_chat",
        named(
            START,
            text(0, "The"),
            end("ERROR", None, error="model overloaded, please retry"),
        ),
        response(content="The", stop_reason="ERROR", error="model overloaded, please retry"),
        first_content=b'"The"',
    ),
    Exchange(
        "cut before the end, events nobody knows",
        "cohere_chat",
        named(
            {"type": "debug", "prompt": "<BOS>"},
            START,
            {"type": "weather-report", "index": "north", "delta": "rain"},
            arguments(7, "of no call"),
            text(0, "a"),
        ),
        response(
            content="a", tool_calls=[ParsedToolCall(None, None, "of no call")], complete=False
        ),
        first_content=b'"arguments":"of no call"',
    ),
    Exchange(
        "plain",
        "cohere_chat",
        compact(
            {
                "id": "c14c80c3",
                "finish_reason": "TOOL_CALL",
                "message": {
                    "role": "assistant",
                    "tool_plan": "I will look.",
                    "content": [
                        {"type": "thinking", "thinking": "Hm."},
                        {"type": "text", "text": "Looking"},
                        {"type": "text", "text": " now."},
                    ],
                    "tool_calls": [
                        {
                            "id": "weather_1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city":"Rom"}'},
                        }
                    ],
                    "citations": [{"start": 0, "end": 7, "text": "Looking", "sources": []}],
                },
                "usage": {"billed_units": {"input_tokens": 5, "output_tokens": 8}},
            }
        ),
        response(
            content="Looking now.",
            reasoning="I will look.\n\nHm.",
            tool_calls=[ParsedToolCall("weather_1", "weather", '{"city":"Rom"}')],
            stop_reason="TOOL_CALL",
            usage=Usage(
                tokens_in=5,
                tokens_out=8,
                raw={"billed_units": {"input_tokens": 5, "output_tokens": 8}},
            ),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "embeddings",
        "cohere_embeddings",
        compact(
            {
                "id": "5807ee2e",
                "texts": ["a", "b"],
                "embeddings": {"float": [[0.0023, -0.009], [0.1, 0.2]]},
                "response_type": "embeddings_by_type",
                "meta": EMBEDDED,
            }
        ),
        ParsedResponse(
            response_id="5807ee2e", usage=Usage(tokens_in=2, raw=EMBEDDED), complete=True
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "error body",
        "cohere_chat",
        b'{"id":"5f1a","message":"invalid api token"}',
        ParsedResponse(response_id="5f1a", error="invalid api token", complete=True),
        status=401,
        content_type=PLAIN,
    ),
]
