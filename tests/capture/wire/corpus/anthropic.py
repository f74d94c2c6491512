"""Anthropic Messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from capture.wire.types import JSON, BilledUsage, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, compact, named

START_USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 1_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    "output_tokens": 1,
    "service_tier": "standard",
}


def start(usage: JSON = START_USAGE) -> dict[str, JSON]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "usage": usage,
    }
    return {"type": "message_start", "message": message}


def block(index: int, kind: str, **more: JSON) -> dict[str, JSON]:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": kind, **more},
    }


def delta(index: int, kind: str, field: str, piece: str) -> dict[str, JSON]:
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": f"{kind}_delta", field: piece},
    }


def text(index: int, piece: str) -> dict[str, JSON]:
    return delta(index, "text", "text", piece)


def arguments(index: int, piece: str) -> dict[str, JSON]:
    return delta(index, "input_json", "partial_json", piece)


def stop(index: int) -> dict[str, JSON]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None, **usage: JSON) -> dict[str, JSON]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": usage,
    }


def response(**expected: Any) -> ParsedResponse:
    common = {
        "response_model": "claude-sonnet-4-5-20250929",
        "response_id": "msg_1",
        "service_tier": "standard",
        "complete": True,
    }
    return ParsedResponse(**{**common, **expected})


def counted(tokens_out: int | None, **more: JSON) -> Usage:
    return Usage(
        tokens_in=1_125,
        tokens_out=tokens_out,
        tokens_cache_read=1_000,
        tokens_cache_write=100,
        tokens_cache_write_1h=40,
        raw={**START_USAGE, **more},
    )


ITERATED = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30},
    "output_tokens": 5,
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    "service_tier": "priority",
    "speed": "fast",
    "iterations": [
        {
            "type": "compaction",
            "input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 50,
            "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 60,
        },
        {
            "type": "advisor_message",
            "model": "claude-opus-4-6",
            "input_tokens": 7,
            "output_tokens": 8,
        },
        {
            "type": "fallback_message",
            "model": "claude-haiku-4-5",
            "input_tokens": 10,
            "cache_read_input_tokens": 200,
            "cache_creation_input_tokens": 30,
            "output_tokens": 5,
        },
    ],
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}

EXCHANGES = [
    Exchange(
        "text",
        "anthropic_messages",
        named(
            start(),
            block(0, "text", text=""),
            PING,
            text(0, "Hello"),
            text(0, ", wörld"),
            stop(0),
            end("end_turn", output_tokens=15),
            STOP,
        ),
        response(
            content="Hello, wörld", stop_reason="end_turn", usage=counted(15, output_tokens=15)
        ),
        first_content=b'"Hello"',
    ),
    Exchange(
        "thinking, then tool calls",
        "anthropic_messages",
        named(
            start(),
            block(0, "thinking", thinking="", signature=""),
            delta(0, "thinking", "thinking", "Let me "),
            delta(0, "thinking", "thinking", "see"),
            delta(0, "signature", "signature", "EqQB"),
            stop(0),
            block(1, "redacted_thinking", data="xyz"),
            stop(1),
            block(2, "text", text=""),
            text(2, "Looking."),
            stop(2),
            block(3, "tool_use", id="toolu_1", name="weather", input={}),
            arguments(3, ""),
            arguments(3, '{"city":'),
            arguments(3, ' "Rom"}'),
            stop(3),
            block(4, "tool_use", id="toolu_2", name="now", input={}),
            arguments(4, ""),
            stop(4),
            end("tool_use", output_tokens=40, output_tokens_details={"thinking_tokens": 9}),
            STOP,
        ),
        response(
            content="Looking.",
            reasoning="Let me see",
            stop_reason="tool_use",
            tool_calls=[
                ParsedToolCall("toolu_1", "weather", '{"city": "Rom"}'),
                ParsedToolCall("toolu_2", "now", "{}"),
            ],
            usage=Usage(
                tokens_in=1_125,
                tokens_out=40,
                tokens_cache_read=1_000,
                tokens_cache_write=100,
                tokens_cache_write_1h=40,
                tokens_reasoning=9,
                raw={
                    **START_USAGE,
                    "output_tokens": 40,
                    "output_tokens_details": {"thinking_tokens": 9},
                },
            ),
        ),
        first_content=b'"Let me "',
    ),
    Exchange(
        "two message_deltas, nulls change nothing",
        "anthropic_messages",
        named(
            start({"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 0}),
            block(0, "text", text=""),
            text(0, "a"),
            stop(0),
            end("pause_turn", output_tokens=5, input_tokens=None),
            end(None, output_tokens=9, input_tokens=12, cache_read_input_tokens=None),
            STOP,
        ),
        response(
            content="a",
            stop_reason="pause_turn",
            service_tier=None,
            usage=Usage(
                tokens_in=12,
                tokens_out=9,
                tokens_cache_read=0,
                raw={"input_tokens": 12, "output_tokens": 9, "cache_read_input_tokens": 0},
            ),
        ),
        first_content=b'"text":"a"',
    ),
    Exchange(
        "a tool that Anthropic runs",
        "anthropic_messages",
        named(
            start(),
            block(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={}),
            arguments(0, '{"query":"x"}'),
            stop(0),
            block(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"url": "u"}]),
            stop(1),
            block(2, "text", text=""),
            text(2, "Found "),
            stop(2),
            block(3, "text", text=""),
            text(3, "it."),
            stop(3),
            end("end_turn", output_tokens=7),
            STOP,
        ),
        response(
            content="Found it.",
            stop_reason="end_turn",
            tool_calls=[ParsedToolCall("srvtoolu_1", "web_search", '{"query":"x"}')],
            usage=replace(counted(7, output_tokens=7), units={"web_searches": 1}),
        ),
        first_content=b'"srvtoolu_1","name"',
    ),
    Exchange(
        "error in mid-stream",
        "anthropic_messages",
        named(
            start(),
            block(0, "text", text=""),
            text(0, "Hel"),
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ),
        response(content="Hel", error="Overloaded", usage=counted(None)),
        first_content=b'"Hel"',
    ),
    Exchange(
        "interrupted in a tool call",
        "anthropic_messages",
        named(
            start(),
            block(0, "tool_use", id="toolu_1", name="f", input={}),
            arguments(0, '{"a": [1'),
            block(1, "tool_use", id="toolu_2", name="g", input={}),
        ),
        response(
            complete=False,
            tool_calls=[
                ParsedToolCall("toolu_1", "f", '{"a": [1'),
                ParsedToolCall("toolu_2", "g", ""),
            ],
            usage=counted(None),
        ),
        first_content=b'"toolu_1"',
    ),
    Exchange(
        "plain",
        "anthropic_messages",
        compact(
            {
                "id": "msg_1",
                "type": "message",
                "model": "claude-sonnet-4-5-20250929",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "thinking", "thinking": "So.", "signature": "s"},
                    {"type": "text", "text": "Two "},
                    {"type": "text", "text": "calls."},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"ü": [1, 2.5]}},
                    {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
                    {"type": "tool_use", "id": "t3", "name": "h", "input": {"n": 10**30}},
                ],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 3, "output_tokens": 4},
            }
        ),
        response(
            content="Two calls.",
            reasoning="Hm.\n\nSo.",
            stop_reason="tool_use",
            service_tier=None,
            tool_calls=[
                ParsedToolCall("t1", "f", '{"ü":[1,2.5]}'),
                ParsedToolCall("t2", "g", "{}"),
                ParsedToolCall("t3", "h", '{"n":1000000000000000000000000000000}'),
            ],
            usage=Usage(tokens_in=3, tokens_out=4, raw={"input_tokens": 3, "output_tokens": 4}),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "a search, fast mode, and iterations that the totals leave out",
        "anthropic_messages",
        compact(
            {
                "id": "msg_1",
                "type": "message",
                "model": "claude-sonnet-4-5-20250929",
                "content": [{"type": "text", "text": "Short now."}],
                "stop_reason": "end_turn",
                "usage": ITERATED,
            }
        ),
        response(
            content="Short now.",
            stop_reason="end_turn",
            service_tier="priority",
            speed="fast",
            usage=Usage(
                tokens_in=10 + 200 + 30 + 50 + 7,
                tokens_out=5 + 60 + 8,
                tokens_cache_read=200,
                tokens_cache_write=30 + 50,
                tokens_cache_write_1h=30 + 20,
                units={"web_searches": 2},
                billed=[
                    BilledUsage(
                        None,
                        Usage(
                            tokens_in=50,
                            tokens_out=60,
                            tokens_cache_read=0,
                            tokens_cache_write=50,
                            tokens_cache_write_1h=20,
                        ),
                    ),
                    BilledUsage("claude-opus-4-6", Usage(tokens_in=7, tokens_out=8)),
                    BilledUsage(
                        "claude-haiku-4-5",
                        Usage(
                            tokens_in=240,
                            tokens_out=5,
                            tokens_cache_read=200,
                            tokens_cache_write=30,
                        ),
                    ),
                    # What the iterations leave of the totals
                    BilledUsage(
                        None,
                        Usage(
                            tokens_in=0,
                            tokens_out=0,
                            tokens_cache_read=0,
                            tokens_cache_write=0,
                            tokens_cache_write_1h=30,
                            units={"web_searches": 2},
                        ),
                    ),
                ],
                raw=ITERATED,
            ),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "iterations in the last event",
        "anthropic_messages",
        named(
            start({"input_tokens": 10, "output_tokens": 1}),
            block(0, "text", text=""),
            text(0, "a"),
            end(
                "end_turn",
                output_tokens=5,
                iterations=[
                    {"type": "compaction", "input_tokens": 100, "output_tokens": 20},
                    {"type": "message", "input_tokens": 10, "output_tokens": 5},
                ],
            ),
            STOP,
        ),
        response(
            content="a",
            stop_reason="end_turn",
            service_tier=None,
            usage=Usage(
                tokens_in=110,
                tokens_out=25,
                raw={
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "iterations": [
                        {"type": "compaction", "input_tokens": 100, "output_tokens": 20},
                        {"type": "message", "input_tokens": 10, "output_tokens": 5},
                    ],
                },
            ),
        ),
        first_content=b'"text":"a"',
    ),
    Exchange(
        "error body",
        "anthropic_messages",
        b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},'
        b'"request_id":"req_1"}',
        ParsedResponse(error="invalid x-api-key", complete=True),
        status=401,
        content_type=PLAIN,
    ),
]
