"""A message of any provider's format in readable form: its role and its content blocks.

Content that no block kind covers is shown as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from capture.wire.binaries.references import PREFIX
from capture.wire.json.fields import objects, text
from capture.wire.json.lenient import dump_indented, load
from capture.wire.shared.output_items import is_tool_call, tool_call_of, tool_result_of
from capture.wire.types import JSON

UNKNOWN = "—"
MAX_BLOCKS = 500  # of one message
BlockKind = Literal["text", "thinking", "tool_call", "tool_result", "binary", "json"]
_REFERENCE = re.compile(
    re.escape(PREFIX) + r"([a-z0-9.+/_-]+);bytes=([0-9]+);sha256=([0-9a-f]{64})"
)
# Keys that hold content blocks of a message, in the order in which they are shown.
_BLOCK_KEYS = ("content", "parts", "output", "summary")
_METADATA_KEYS = ("role", "type", "id", "status", "object", "name", "tool_call_id", "call_id")


class BinaryReference(NamedTuple):
    """The reference that a message holds in place of binary content."""

    media_type: str
    size_bytes: int
    digest: str  # hex SHA-256


@dataclass(frozen=True, slots=True)
class MessageBlock:
    kind: BlockKind
    text: str
    name: str | None = None  # the tool's
    id: str | None = None  # the tool call's
    is_error: bool = False
    binary: BinaryReference | None = None


@dataclass(frozen=True, slots=True)
class MessageView:
    role: str
    blocks: list[MessageBlock]

    @property
    def text(self) -> str:
        """The text of all blocks, for comparisons."""
        return "\n".join(block.text for block in self.blocks)


def view_message(message: bytes) -> MessageView:
    """Returns the view of a message given as JSON; malformed JSON is shown as text."""
    value, note = load(message)
    if note:
        return MessageView(UNKNOWN, [MessageBlock("text", message.decode(errors="replace"))])
    if not isinstance(value, dict):
        return MessageView("user", _shown(_content_blocks(value)))
    role = text(value.get("role")) or text(value.get("type")) or UNKNOWN
    return MessageView(role, _shown(_message_blocks(value)))


def _shown(blocks: Iterator[MessageBlock]) -> list[MessageBlock]:
    found = list(islice(blocks, MAX_BLOCKS + 1))
    if len(found) > MAX_BLOCKS:
        found[-1] = MessageBlock("text", "… (more blocks are left out)")
    return found


def format_text(text: str) -> str:
    """Indents a text that is JSON; returns any other text unchanged."""
    value, note = load(text.encode(errors="replace"))
    return text if note or isinstance(value, str) else dump_indented(value)


def _message_blocks(value: dict[str, JSON]) -> Iterator[MessageBlock]:
    if value.get("role") == "tool":
        name = value.get("tool_call_id") or value.get("call_id") or value.get("tool_name")
        content = value.get("content", value.get("output"))
        yield MessageBlock("tool_result", _plain_text(content), id=_optional_text(name))
        return
    if is_tool_call(value):
        item = tool_call_of(value)
        yield _tool_call(item.name, item.id, item.arguments)
        if value.get("output"):  # MCP's calls have their results beside them
            yield _tool_result(item.id, value["output"], bool(value.get("error")))
        return
    if (result := tool_result_of(value)) is not None:
        yield _tool_result(result.tool_call_id, result.content, result.is_error)
        return
    for key in ("thinking", "reasoning_content", "reasoning", "tool_plan"):
        if isinstance(value.get(key), str) and value[key]:
            yield MessageBlock("thinking", value[key])
    for key in _BLOCK_KEYS:
        if value.get(key) is not None:
            kind: BlockKind = "thinking" if value.get("type") == "reasoning" else "text"
            yield from _content_blocks(value[key], kind)
    for call in objects(value.get("tool_calls")):
        nested = call.get("function")
        function = nested if isinstance(nested, dict) else call
        yield _tool_call(function.get("name"), call.get("id"), function.get("arguments"))
    known = {
        *_BLOCK_KEYS,
        *_METADATA_KEYS,
        "tool_calls",
        "thinking",
        "reasoning_content",
        "reasoning",
    }
    rest = {key: entry for key, entry in value.items() if key not in known and entry}
    if rest:
        yield MessageBlock("json", dump_indented(rest))


def _content_blocks(value: JSON, kind: BlockKind = "text") -> Iterator[MessageBlock]:
    for block in value if isinstance(value, list) else [value]:
        if isinstance(block, str):
            yield from _text_block(block, kind)
        elif isinstance(block, dict):
            yield from _read_typed_block(block, kind)
        elif block is not None:
            yield MessageBlock("json", dump_indented(block))


def _read_typed_block(block: dict[str, JSON], kind: BlockKind) -> Iterator[MessageBlock]:
    """Reads a block in the format of Anthropic, Gemini, Bedrock or the Responses API."""
    if isinstance(block.get("text"), str):
        is_thought = block.get("thought") is True
        yield from _text_block(block["text"], "thinking" if is_thought else kind)
    elif isinstance(block.get("thinking"), str):
        yield MessageBlock("thinking", block["thinking"])
    elif block.get("type") == "tool_use":
        yield _tool_call(block.get("name"), block.get("id"), block.get("input"))
    elif isinstance(call := block.get("functionCall"), dict):
        yield _tool_call(call.get("name"), call.get("id"), call.get("args"))
    elif isinstance(call := block.get("toolUse"), dict):
        yield _tool_call(call.get("name"), call.get("toolUseId"), call.get("input"))
    elif block.get("type") == "tool_result":
        yield _tool_result(block.get("tool_use_id"), block.get("content"), block.get("is_error"))
    elif isinstance(result := block.get("functionResponse"), dict):
        yield _tool_result(result.get("name"), result.get("response"), None)
    elif isinstance(result := block.get("toolResult"), dict):
        failed = result.get("status") == "error"
        yield _tool_result(result.get("toolUseId"), result.get("content"), failed)
    else:
        text = dump_indented(block)
        found = _REFERENCE.search(text)
        yield MessageBlock("binary" if found else "json", text, binary=_reference(found))


def _text_block(text: str, kind: BlockKind) -> Iterator[MessageBlock]:
    found = _REFERENCE.fullmatch(text)
    if found:
        yield MessageBlock("binary", text, binary=_reference(found))
    else:
        yield MessageBlock(kind, text)


def _reference(found: re.Match[str] | None) -> BinaryReference | None:
    return BinaryReference(found[1], int(found[2]), found[3]) if found else None


def _tool_call(name: JSON, id: JSON, arguments: JSON) -> MessageBlock:
    if isinstance(arguments, str):
        text = format_text(arguments)
    else:
        text = "" if arguments is None else dump_indented(arguments)
    return MessageBlock("tool_call", text, name=_optional_text(name), id=_optional_text(id))


def _tool_result(id: JSON, content: JSON, is_error: JSON) -> MessageBlock:
    return MessageBlock(
        "tool_result", _plain_text(content), id=_optional_text(id), is_error=is_error is True
    )


def _plain_text(content: JSON) -> str:
    """Returns texts unchanged, anything else as JSON."""
    if isinstance(content, str):
        return format_text(content)
    if isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, dict)]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    return "" if content is None else dump_indented(content)


def _optional_text(value: JSON) -> str | None:
    return value if value is None or isinstance(value, str) else dump_indented(value)
