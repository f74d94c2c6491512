"""OpenAI Responses: https://platform.openai.com/docs/api-reference/responses."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from capture.demo import openai_chat, sse
from capture.demo.reply import (
    BadRequest,
    DemoRequest,
    Reply,
    Tool,
    items,
    new_id,
    snapshot_of,
    text_of,
)

bad_request = openai_chat.bad_request
no_such_model = openai_chat.no_such_model


def parse_request(body: dict[str, Any]) -> DemoRequest:
    input_ = body.get("input")
    if not input_:
        raise BadRequest("Missing required parameter: 'input'.")
    user_text, tool_result = "", None
    message = [{"role": "user", "content": input_}]
    for item in message if isinstance(input_, str) else items(body, "input"):
        if item.get("role") == "user":
            user_text, tool_result = text_of(item.get("content")), None
        elif item.get("type") == "function_call_output":
            tool_result = text_of(item.get("output"))
    functions = [tool for tool in items(body, "tools") if tool.get("type") == "function"]
    tools = [Tool(str(f.get("name")), f.get("parameters") or {}) for f in functions]
    return DemoRequest(body, user_text, tuple(tools), tool_result)


def response(request: DemoRequest, reply: Reply) -> dict[str, Any]:
    output = [_whole(item, reply) for item in _output(reply)]
    return _response(request) | {
        "status": "completed",
        "output": output,
        "usage": _usage(reply),
    }


def events(request: DemoRequest, reply: Reply) -> Iterator[bytes]:
    """Yields events with sequence numbers; `response.completed` has the complete response."""
    numbers = count()

    def event(kind: str, **data: Any) -> bytes:
        return sse.frame({"type": kind, "sequence_number": next(numbers)} | data, kind)

    started = _response(request)
    yield event("response.created", response=started) + event(
        "response.in_progress", response=started
    )
    output = []
    for index, item in enumerate(_output(reply)):
        whole = _whole(item, reply)
        place = {"item_id": item["id"], "output_index": index}
        added = event("response.output_item.added", output_index=index, item=item)
        steps = _text_events if item["type"] == "message" else _arguments_events
        for step in steps(whole, place):
            yield added + b"".join(event(kind, **data) for kind, data in step)
            added = b""
        yield event("response.output_item.done", output_index=index, item=whole)
        output.append(whole)
    ended = started | {"status": "completed", "output": output, "usage": _usage(reply)}
    yield event("response.completed", response=ended)


EventBatch = list[tuple[str, dict[str, Any]]]  # events that are sent at once: (type, data)


def _text_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[EventBatch]:
    part = item["content"][0]
    at = place | {"content_index": 0}
    yield [("response.content_part.added", at | {"part": part | {"text": ""}})]
    for piece in sse.split_words(part["text"]):
        yield [("response.output_text.delta", at | {"delta": piece, "logprobs": []})]
    yield [
        ("response.output_text.done", at | {"text": part["text"], "logprobs": []}),
        ("response.content_part.done", at | {"part": part}),
    ]


def _arguments_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[EventBatch]:
    for piece in sse.slices(item["arguments"]):
        yield [("response.function_call_arguments.delta", place | {"delta": piece})]
    whole = {"name": item["name"], "arguments": item["arguments"]}
    yield [("response.function_call_arguments.done", place | whole)]


def _output(reply: Reply) -> list[dict[str, Any]]:
    """Returns the items as they begin, without content."""
    output: list[dict[str, Any]] = []
    if reply.text:
        message = {"id": new_id("msg_"), "type": "message", "role": "assistant", "content": []}
        output.append(message | {"status": "in_progress"})
    if reply.tool:
        function_call = {"id": new_id("fc_"), "type": "function_call", "call_id": new_id("call_")}
        named = {"name": reply.tool.name, "arguments": "", "status": "in_progress"}
        output.append(function_call | named)
    return output


def _whole(item: dict[str, Any], reply: Reply) -> dict[str, Any]:
    if item["type"] == "function_call" and reply.tool:
        return item | {"arguments": reply.tool.arguments_json, "status": "completed"}
    part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    return item | {"content": [part], "status": "completed"}


def _response(request: DemoRequest) -> dict[str, Any]:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": request.body.get("instructions"),
        "max_output_tokens": request.body.get("max_output_tokens"),
        "model": snapshot_of(request.model),
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": request.body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": request.body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.tokens_in,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.tokens_out,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.tokens_in + reply.tokens_out,
    }
