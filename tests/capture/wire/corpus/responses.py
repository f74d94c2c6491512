"""OpenAI Responses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from capture.wire.types import JSON, BilledUsage, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, compact, named

USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 42,
}
COUNTED = Usage(
    tokens_in=30,
    tokens_out=12,
    tokens_cache_read=20,
    tokens_cache_write=5,
    tokens_reasoning=0,
    raw=dict(USAGE),
)

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [
        {"type": "summary_text", "text": "First."},
        {"type": "summary_text", "text": "Then."},
    ],
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi there", "annotations": []}],
}
FUNCTION_CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Rom"}',
    "status": "completed",
}
CUSTOM_CALL = {
    "id": "ctc_1",
    "type": "custom_tool_call",
    "call_id": "call_2",
    "name": "sh",
    "input": "ls -l",
}
WEB_SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed"}


def response_object(status: str, output: list[JSON], **more: JSON) -> dict[str, JSON]:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "model": "gpt-5.4-2026-03-05",
        "output": output,
        "error": None,
        "incomplete_details": None,
        "usage": None,
        **more,
    }


def whole(status: str, output: list[JSON], **more: JSON) -> bytes:
    return compact(response_object(status, output, **more))


def terminal(status: str, output: list[JSON], **more: JSON) -> dict[str, JSON]:
    return {"type": f"response.{status}", "response": response_object(status, output, **more)}


def added(index: int, item: dict[str, JSON], **emptied: JSON) -> dict[str, JSON]:
    return {
        "type": "response.output_item.added",
        "output_index": index,
        "item": {**item, **emptied},
    }


def delta(kind: str, index: int, piece: str, **more: JSON) -> dict[str, JSON]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": piece, **more}


def done(kind: str, index: int, **more: JSON) -> dict[str, JSON]:
    return {"type": f"response.{kind}.done", "output_index": index, **more}


def response(**expected: Any) -> ParsedResponse:
    common = {"response_model": "gpt-5.4-2026-03-05", "response_id": "resp_1", "complete": True}
    return ParsedResponse(**{**common, **expected})


CREATED = {"type": "response.created", "response": response_object("in_progress", [])}
IN_PROGRESS = {"type": "response.in_progress", "response": response_object("in_progress", [])}
TEXT = [
    added(0, MESSAGE, content=[]),
    {
        "type": "response.content_part.added",
        "output_index": 0,
        "content_index": 0,
        "part": {"type": "output_text", "text": ""},
    },
    delta("output_text", 0, "Hi", content_index=0, obfuscation="x"),
    delta("output_text", 0, " there", content_index=0),
]

TOOL_USAGE = {
    "image_gen": {
        "input_tokens": 50,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 50},
        "output_tokens": 272,
        "total_tokens": 322,
    },
    "web_search": {"num_requests": 3},
}
NO_TOOL_USAGE = {
    "image_gen": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    "web_search": {"num_requests": 0},
}
COMPACTED = {
    "id": "resp_1",
    "object": "response.compaction",
    "created_at": 1764000000,
    "output": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAA"},
    ],
    "usage": USAGE,
}

EXCHANGES = [
    Exchange(
        "completed",
        "openai_responses",
        named(
            CREATED,
            IN_PROGRESS,
            *TEXT,
            done("output_text", 0, content_index=0, text="Hi there"),
            done("output_item", 0, item=MESSAGE),
            terminal("completed", [MESSAGE], usage=USAGE),
        ),
        response(content="Hi there", stop_reason="completed", usage=COUNTED),
        first_content=b'"delta":"Hi"',
    ),
    Exchange(
        "incomplete",
        "openai_responses",
        named(
            CREATED,
            *TEXT,
            terminal(
                "incomplete",
                [MESSAGE],
                usage=USAGE,
                incomplete_details={"reason": "max_output_tokens"},
            ),
        ),
        response(content="Hi there", stop_reason="max_output_tokens", usage=COUNTED),
        first_content=b'"delta":"Hi"',
    ),
    Exchange(
        "failed",
        "openai_responses",
        named(
            CREATED,
            terminal("failed", [], error={"code": "server_error", "message": "Try again"}),
        ),
        response(stop_reason="failed", error="Try again"),
    ),
    Exchange(
        "error event",
        "openai_responses",
        named(
            CREATED,
            *TEXT,
            {"type": "error", "code": "rate_limit", "message": "Slow down", "param": None},
        ),
        response(content="Hi there", error="Slow down"),
        first_content=b'"delta":"Hi"',
    ),
    Exchange(
        "error event with an error object",
        "openai_responses",
        named({"type": "error", "error": {"type": "server_error", "message": "Oh no"}}),
        ParsedResponse(error="Oh no", complete=True),
    ),
    Exchange(
        "reasoning, then tool calls",
        "openai_responses",
        named(
            CREATED,
            added(0, REASONING, summary=[]),
            delta("reasoning_summary_text", 0, "First.", summary_index=0),
            delta("reasoning_summary_text", 0, "Then.", summary_index=1),
            done("output_item", 0, item=REASONING),
            done("output_item", 1, item=WEB_SEARCH),
            added(2, FUNCTION_CALL, arguments=""),
            delta("function_call_arguments", 2, '{"city":'),
            delta("function_call_arguments", 2, '"Rom"}'),
            done("function_call_arguments", 2, arguments='{"city":"Rom"}'),
            added(3, CUSTOM_CALL, input=""),
            delta("custom_tool_call_input", 3, "ls -l"),
            terminal("completed", [REASONING, WEB_SEARCH, FUNCTION_CALL, CUSTOM_CALL], usage=USAGE),
        ),
        response(
            reasoning="First.\n\nThen.",
            stop_reason="completed",
            tool_calls=[
                ParsedToolCall("call_1", "weather", '{"city":"Rom"}'),
                ParsedToolCall("call_2", "sh", "ls -l"),
            ],
            usage=replace(COUNTED, units={"web_searches": 1}),
        ),
        first_content=b'"delta":"First."',
    ),
    Exchange(
        "interrupted: everything from deltas",
        "openai_responses",
        named(
            CREATED,
            added(0, REASONING, summary=[]),
            delta("reasoning_summary_text", 0, "Fir", summary_index=0),
            delta("reasoning_summary_text", 0, "st.", summary_index=0),
            delta("reasoning_text", 0, "raw", content_index=0),
            done("output_item", 1, item=MESSAGE),
            added(2, FUNCTION_CALL, arguments=""),
            delta("function_call_arguments", 2, '{"city":'),
            added(3, CUSTOM_CALL, input=""),
            delta("custom_tool_call_input", 3, "ls"),
            added(4, MESSAGE, content=[]),
            delta("output_text", 4, " and", content_index=0),
            delta("refusal", 4, " no", content_index=1),
        ),
        response(
            content="Hi there and no",
            reasoning="First.\n\nraw",
            tool_calls=[
                ParsedToolCall("call_1", "weather", '{"city":'),
                ParsedToolCall("call_2", "sh", "ls"),
            ],
            complete=False,
        ),
        first_content=b'"delta":"Fir"',
    ),
    Exchange(
        "copies of the API: no output_index, nothing in the last event, names in the data alone",
        "openai_responses",
        b"".join(
            b"data: " + compact(event) + b"\n\n"
            for event in (
                {"type": "response.output_text.delta", "item_id": "m1", "delta": "Hi"},
                {
                    "type": "response.output_item.added",
                    "item": {"id": "f1", "type": "function_call", "call_id": "c", "name": "f"},
                },
                {"type": "response.function_call_arguments.delta", "item_id": "f1", "delta": "{}"},
                {"type": "response.output_text.delta", "item_id": "m1", "delta": " there"},
                terminal("completed", [], usage=USAGE),
            )
        ),
        response(
            content="Hi there",
            stop_reason="completed",
            tool_calls=[ParsedToolCall("c", "f", "{}")],
            usage=COUNTED,
        ),
        first_content=b'"delta":"Hi"',
    ),
    Exchange(
        "plain, with a refusal",
        "openai_responses",
        whole(
            "completed",
            [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}],
            usage=USAGE,
        ),
        response(content="No.", stop_reason="completed", usage=COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "plain, tools that the agent's machine runs",
        "openai_responses",
        whole(
            "completed",
            [
                {"type": "local_shell_call", "call_id": "c1", "action": {"command": ["ls"]}},
                {"type": "computer_call", "call_id": "c2", "actions": [{"type": "click"}]},
                {"type": "apply_patch_call", "call_id": "c3", "operation": {"path": "a.py"}},
                WEB_SEARCH,
            ],
        ),
        response(
            stop_reason="completed",
            tool_calls=[
                ParsedToolCall("c1", "local_shell", '{"command":["ls"]}'),
                ParsedToolCall("c2", "computer", '[{"type":"click"}]'),
                ParsedToolCall("c3", "apply_patch", '{"path":"a.py"}'),
            ],
            usage=Usage(units={"web_searches": 1}),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "in the background",
        "openai_responses",
        whole("queued", []),
        response(stop_reason="queued", is_pending=True),
        content_type=PLAIN,
    ),
    Exchange(
        "plain, failed",
        "openai_responses",
        whole("failed", [], error={"code": "server_error", "message": "Oh no"}),
        response(stop_reason="failed", error="Oh no"),
        content_type=PLAIN,
    ),
    Exchange(
        "tools billed apart, and the tier",
        "openai_responses",
        named(
            {
                "type": "response.created",
                "response": response_object("in_progress", [], service_tier="auto"),
            },
            *TEXT,
            terminal(
                "completed",
                [WEB_SEARCH, MESSAGE],
                usage=USAGE,
                tool_usage=TOOL_USAGE,
                tools=[{"type": "image_generation", "model": "gpt-image-1.5"}],
                service_tier="flex",
            ),
        ),
        response(
            content="Hi there",
            stop_reason="completed",
            service_tier="flex",
            usage=replace(
                COUNTED,
                units={
                    "web_searches": 3,
                    "image_gen_tokens_in": 50,
                    "image_gen_tokens_out": 272,
                },
                billed=[
                    BilledUsage(
                        None,
                        replace(
                            COUNTED,
                            raw={},
                            units={
                                "web_searches": 3,
                                "image_gen_tokens_in": 50,
                                "image_gen_tokens_out": 272,
                            },
                        ),
                    ),
                    BilledUsage(
                        "gpt-image-1.5",
                        Usage(
                            tokens_in=50, tokens_out=272, tokens_image_in=0, tokens_image_out=272
                        ),
                    ),
                ],
                raw={**USAGE, "tool_usage": TOOL_USAGE},
            ),
        ),
        first_content=b'"delta":"Hi"',
    ),
    Exchange(
        "tools that were not used",
        "openai_responses",
        whole("completed", [MESSAGE], usage=USAGE, tool_usage=NO_TOOL_USAGE),
        response(content="Hi there", stop_reason="completed", usage=COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "steered away",
        "openai_responses",
        whole("incomplete", [MESSAGE], usage=USAGE, incomplete_details={"reason": "steered"}),
        response(content="Hi there", stop_reason="steered", usage=COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "in the background, streamed, left while it was queued",
        "openai_responses",
        named(
            {"type": "response.created", "response": response_object("queued", [])},
            {"type": "response.queued", "response": response_object("queued", [])},
        ),
        response(complete=False, stop_reason="queued"),
    ),
    Exchange(
        "cancelled",
        "openai_responses",
        whole("cancelled", []),
        response(stop_reason="cancelled"),
        content_type=PLAIN,
    ),
    Exchange(
        "compaction while it streams",
        "openai_responses",
        named(
            CREATED,
            {"type": "response.compaction.compacting", "item_id": "cmp_1", "output_index": 0},
            done("output_item", 0, item={"id": "cmp_1", "type": "compaction"}),
            terminal("completed", [{"id": "cmp_1", "type": "compaction"}, MESSAGE], usage=USAGE),
        ),
        response(content="Hi there", stop_reason="completed", usage=COUNTED),
        first_content=b'"response.completed"',
    ),
    Exchange(
        "a history made shorter",
        "openai_responses",
        compact(COMPACTED),
        ParsedResponse(response_id="resp_1", usage=COUNTED, complete=True),
        content_type=PLAIN,
    ),
]
