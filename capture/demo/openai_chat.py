"""OpenAI chat completions: https://platform.openai.com/docs/api-reference/chat."""

import time
from collections.abc import Iterator
from typing import Any

from capture.demo import sse
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


def parse_request(body: dict[str, Any]) -> DemoRequest:
    messages = items(body, "messages")
    if not messages:
        raise BadRequest("Missing required parameter: 'messages'.")
    user_text, tool_result = "", None
    for message in messages:
        if message.get("role") == "user":
            user_text, tool_result = text_of(message.get("content")), None
        elif message.get("role") == "tool":
            tool_result = text_of(message.get("content"))
    functions = [t["function"] for t in items(body, "tools") if isinstance(t.get("function"), dict)]
    tools = [Tool(str(f.get("name")), f.get("parameters") or {}) for f in functions]
    return DemoRequest(body, user_text, tuple(tools), tool_result)


def response(request: DemoRequest, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    message |= {"refusal": None, "annotations": []}
    if reply.tool:
        message["tool_calls"] = [_tool_call(reply, reply.tool.arguments_json)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": snapshot_of(request.model),
        "choices": [choice],
        "usage": _usage(reply),
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def events(request: DemoRequest, reply: Reply) -> Iterator[bytes]:
    """Usage comes only when `stream_options.include_usage` asks for it, in a chunk of its own."""
    options = request.body.get("stream_options")
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    base: dict[str, Any] = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": snapshot_of(request.model),
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }
    no_usage = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse.frame(base | {"choices": [choice]} | no_usage)

    content = None if reply.tool and not reply.text else ""
    opening = chunk({"role": "assistant", "content": content, "refusal": None})
    for piece in sse.split_words(reply.text):
        yield opening + chunk({"content": piece})
        opening = b""
    if reply.tool:
        yield opening + chunk({"tool_calls": [{"index": 0} | _tool_call(reply, "")]})
        opening = b""
        for piece in sse.slices(reply.tool.arguments_json):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    closing = opening + chunk({}, _finish(reply))
    if include_usage:
        closing += sse.frame(base | {"choices": [], "usage": _usage(reply)})
    yield closing + sse.DONE


def bad_request(message: str) -> dict[str, Any]:
    return _error(message, code=None)


def no_such_model(model: str) -> dict[str, Any]:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return _error(message, code="model_not_found")


def _error(message: str, *, code: str | None) -> dict[str, Any]:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _tool_call(reply: Reply, arguments: str) -> dict[str, Any]:
    assert reply.tool is not None
    function = {"name": reply.tool.name, "arguments": arguments}
    return {"id": new_id("call_"), "type": "function", "function": function}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool else "stop"


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.tokens_in,
        "completion_tokens": reply.tokens_out,
        "total_tokens": reply.tokens_in + reply.tokens_out,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
