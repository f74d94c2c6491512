"""Reads the tool calls in a message of a request's history: what the model asked for earlier, as
the agent sends it back. The shapes of all wire formats differ enough to be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from capture.wire.json.fields import fields, objects, text
from capture.wire.json.lenient import dump, load
from capture.wire.limits import MAX_TOOL_CALLS
from capture.wire.shared.output_items import is_tool_call, tool_call_of
from capture.wire.types import JSON, ParsedToolCall

# One of these is in every message with a tool call.
_HINTS = (b"_call", b"tool_use", b"toolUse", b"functionCall")


def echoed_calls(message: bytes) -> list[ParsedToolCall]:
    """Returns the tool calls in a message, in order. `message` is JSON."""
    if not any(hint in message for hint in _HINTS):
        return []
    return list(islice(_calls_in(load(message)[0]), MAX_TOOL_CALLS))


def _calls_in(message: JSON) -> Iterator[ParsedToolCall]:
    value = fields(message)
    if is_tool_call(value):  # an item of Responses, a step of Interactions
        yield tool_call_of(value)
    for call in objects(value.get("tool_calls")):
        yield _chat_call(call)
    if legacy := fields(value.get("function_call")):
        yield _call(None, legacy.get("name"), legacy.get("arguments"))
    for block in objects(value.get("content")):
        if block.get("type") == "tool_use":
            yield _call(block.get("id"), block.get("name"), block.get("input"))
        elif call := fields(block.get("toolUse")):
            yield _call(call.get("toolUseId"), call.get("name"), call.get("input"))
    parts = value.get("parts")
    for part in objects([parts] if isinstance(parts, dict) else parts):
        if call := fields(part.get("functionCall") or part.get("function_call")):
            yield _call(call.get("id"), call.get("name"), call.get("args"))


def _chat_call(call: dict[str, JSON]) -> ParsedToolCall:
    custom = fields(call.get("custom"))
    function = custom or fields(call.get("function"))
    arguments = function.get("input" if custom else "arguments")
    return _call(call.get("id"), function.get("name"), arguments)


def _call(id: JSON, name: JSON, arguments: JSON) -> ParsedToolCall:
    if not isinstance(arguments, str):
        arguments = dump(arguments if arguments is not None else {})
    return ParsedToolCall(text(id), text(name), arguments)
