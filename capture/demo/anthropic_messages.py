"""Anthropic Messages: https://docs.anthropic.com/en/api/messages."""

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
        raise BadRequest("messages: Field required")
    user_text, tool_result = "", None
    for message in messages:
        if message.get("role") != "user":
            continue
        content = message.get("content")
        results = _tool_results(content)
        if results:
            tool_result = "\n".join(results)
        if text := text_of(content):
            user_text = text
            tool_result = tool_result if results else None
    schemas = [tool for tool in items(body, "tools") if isinstance(tool.get("input_schema"), dict)]
    tools = [Tool(str(tool.get("name")), tool["input_schema"]) for tool in schemas]
    return DemoRequest(body, user_text, tuple(tools), tool_result)


def response(request: DemoRequest, reply: Reply) -> dict[str, Any]:
    return _message(request) | {
        "content": [_whole(block, reply) for block in _blocks(reply)],
        "stop_reason": _stop_reason(reply),
        "usage": _usage(reply, reply.tokens_out),
    }


def events(request: DemoRequest, reply: Reply) -> Iterator[bytes]:
    message = _message(request) | {"usage": _usage(reply, 1)}
    opening = _event("message_start", message=message)
    for index, block in enumerate(_blocks(reply)):
        opening += _event("content_block_start", index=index, content_block=block)
        if index == 0:
            opening += _event("ping")
        for delta in _deltas(block, reply):
            yield opening + _event("content_block_delta", index=index, delta=delta)
            opening = b""
        opening += _event("content_block_stop", index=index)
    ended = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    usage = {"output_tokens": reply.tokens_out}
    yield opening + _event("message_delta", delta=ended, usage=usage) + _event("message_stop")


def bad_request(message: str) -> dict[str, Any]:
    return _error(message, kind="invalid_request_error")


def no_such_model(model: str) -> dict[str, Any]:
    return _error(f"model: {model}", kind="not_found_error")


def _error(message: str, *, kind: str) -> dict[str, Any]:
    details = {"type": kind, "message": message}
    return {"type": "error", "error": details, "request_id": new_id("req_")}


def _event(kind: str, **data: Any) -> bytes:
    return sse.frame({"type": kind} | data, kind)


def _tool_results(content: object) -> list[str]:
    blocks = content if isinstance(content, list) else []
    results = [b for b in blocks if isinstance(b, dict) and b.get("type") == "tool_result"]
    return [text_of(block.get("content")) for block in results]


def _message(request: DemoRequest) -> dict[str, Any]:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": snapshot_of(request.model),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    """Returns the blocks as they begin, without content."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": ""}] if reply.text else []
    if reply.tool:
        block = {"type": "tool_use", "id": new_id("toolu_"), "name": reply.tool.name, "input": {}}
        blocks.append(block)
    return blocks


def _whole(block: dict[str, Any], reply: Reply) -> dict[str, Any]:
    if block["type"] == "tool_use" and reply.tool:
        return block | {"input": reply.tool.arguments}
    return block | {"text": reply.text}


def _deltas(block: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    if block["type"] == "tool_use" and reply.tool:
        pieces = ["", *sse.slices(reply.tool.arguments_json)]  # the first one is always empty
        return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [{"type": "text_delta", "text": piece} for piece in sse.split_words(reply.text)]


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.tool else "end_turn"


def _usage(reply: Reply, tokens_out: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens_out,
        "service_tier": "standard",
    }
