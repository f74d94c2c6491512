"""A call in readable form: its response, and the tools that it was offered."""

from __future__ import annotations

from itertools import islice

from capture.wire.json.fields import fields, objects, text
from capture.wire.json.lenient import dump_indented, load
from capture.wire.types import JSON
from reports.analysis.message_view import MessageBlock, MessageView, format_text
from reports.queries.records import Record

MAX_TOOLS = 1_000


def response_message(record: Record) -> MessageView:
    """Returns the response with its reasoning, tool calls and further choices."""
    row = record.row
    blocks = [MessageBlock("thinking", row["reasoning"])] if row["reasoning"] else []
    blocks += [MessageBlock("text", row["content"])] if row["content"] else []
    blocks += [
        MessageBlock("tool_call", format_text(one["arguments"]), one["name"], one["tool_call_id"])
        for one in record.tool_calls
    ]
    if row["choices"]:
        blocks.append(MessageBlock("json", dump_indented(row["choices"])))
    return MessageView("response", blocks)


def names_of_tools_offered(record: Record) -> list[str]:
    tools = record.tools
    value = load(tools.json)[0] if tools else None
    if isinstance(value, dict):
        value = value.get("tools", [value])
    names = (name for tool in objects(value) for name in _tool_names(tool))
    return list(islice(names, MAX_TOOLS))


def _tool_names(tool: dict[str, JSON]) -> list[str]:
    for key in ("functionDeclarations", "function_declarations"):
        if isinstance(tool.get(key), list):
            return [_tool_name(one) for one in objects(tool[key])]
    return [_tool_name(tool)]


def _tool_name(tool: dict[str, JSON]) -> str:
    described = fields(tool.get("function")) or fields(tool.get("toolSpec")) or tool
    return text(described.get("name")) or text(described.get("type")) or "?"
