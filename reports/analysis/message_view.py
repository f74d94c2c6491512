"""A message of any provider as something to be read: who says what. What is no text is JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

from capture.wire.binaries.references import PREFIX
from capture.wire.json.lenient import clean_json, load
from capture.wire.types import JSON

UNKNOWN = "—"
Kind = Literal["text", "thinking", "tool_call", "tool_result", "binary", "json"]
_REFERENCE = re.compile(
    re.escape(PREFIX) + r"([a-z0-9.+/_-]+);bytes=([0-9]+);sha256=([0-9a-f]{64})"
)
# Keys that hold blocks of the same message, in the order in which they are read.
BLOCKS = ("content", "parts", "output", "summary")
SAYS_WHO = ("role", "type", "id", "status", "object", "name", "tool_call_id", "call_id")


class Reference(NamedTuple):
    media_type: str
    size_bytes: int
    digest: str  # hex SHA-256


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    text: str
    name: str | None = None  # of a tool
    id: str | None = None  # of a tool call
    is_error: bool = False
    binary: Reference | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    who: str
    pieces: list[Piece]

    @property
    def text(self) -> str:
        """All of it, for comparing."""
        return "\n".join(piece.text for piece in self.pieces)


def turn_of(message: bytes) -> Turn:
    value, note = load(message)
    if note:
        return Turn(UNKNOWN, [Piece("text", message.decode(errors="replace"))])
    if not isinstance(value, dict):
        return Turn("user", list(_pieces(value)))
    who = value.get("role") or value.get("type") or UNKNOWN
    return Turn(str(who), list(_of_message(value)))


def pretty(value: JSON) -> str:
    return orjson.dumps(clean_json(value), option=orjson.OPT_INDENT_2).decode()


def pretty_text(text: str) -> str:
    """JSON with indents; what is no JSON as it is."""
    value, note = load(text.encode(errors="replace"))
    return text if note or isinstance(value, str) else pretty(value)


def _of_message(value: dict[str, JSON]) -> Iterator[Piece]:
    if value.get("role") == "tool" or value.get("type") == "function_call_output":
        name = value.get("tool_call_id") or value.get("call_id") or value.get("tool_name")
        said = value.get("content", value.get("output"))
        yield Piece("tool_result", _plain(said), id=_name(name))
        return
    if value.get("type") in ("function_call", "custom_tool_call"):
        arguments = value.get("arguments", value.get("input"))
        yield _tool_call(value.get("name"), value.get("call_id"), arguments)
        return
    for key in ("thinking", "reasoning_content", "reasoning", "tool_plan"):
        if isinstance(value.get(key), str) and value[key]:
            yield Piece("thinking", value[key])
    for key in BLOCKS:
        if value.get(key) is not None:
            kind: Kind = "thinking" if value.get("type") == "reasoning" else "text"
            yield from _pieces(value[key], kind)
    for call in value.get("tool_calls") or ():
        if isinstance(call, dict):
            nested = call.get("function")
            function = nested if isinstance(nested, dict) else call
            yield _tool_call(function.get("name"), call.get("id"), function.get("arguments"))
    known = {*BLOCKS, *SAYS_WHO, "tool_calls", "thinking", "reasoning_content", "reasoning"}
    rest = {key: entry for key, entry in value.items() if key not in known and entry}
    if rest:
        yield Piece("json", pretty(rest))


def _pieces(value: JSON, kind: Kind = "text") -> Iterator[Piece]:
    for block in value if isinstance(value, list) else [value]:
        if isinstance(block, str):
            yield from _text(block, kind)
        elif isinstance(block, dict):
            yield from _block(block, kind)
        elif block is not None:
            yield Piece("json", pretty(block))


def _block(block: dict[str, JSON], kind: Kind) -> Iterator[Piece]:
    """Of Anthropic, Gemini, Bedrock or Responses."""
    if isinstance(block.get("text"), str):
        is_thought = block.get("thought") is True
        yield from _text(block["text"], "thinking" if is_thought else kind)
    elif isinstance(block.get("thinking"), str):
        yield Piece("thinking", block["thinking"])
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
        text = pretty(block)
        found = _REFERENCE.search(text)
        yield Piece("binary" if found else "json", text, binary=_reference(found))


def _text(text: str, kind: Kind) -> Iterator[Piece]:
    found = _REFERENCE.fullmatch(text)
    if found:
        yield Piece("binary", text, binary=_reference(found))
    else:
        yield Piece(kind, text)


def _reference(found: re.Match[str] | None) -> Reference | None:
    return Reference(found[1], int(found[2]), found[3]) if found else None


def _tool_call(name: JSON, id: JSON, arguments: JSON) -> Piece:
    if isinstance(arguments, str):
        text = pretty_text(arguments)
    else:
        text = "" if arguments is None else pretty(arguments)
    return Piece("tool_call", text, name=_name(name), id=_name(id))


def _tool_result(id: JSON, content: JSON, is_error: JSON) -> Piece:
    return Piece("tool_result", _plain(content), id=_name(id), is_error=is_error is True)


def _plain(content: JSON) -> str:
    """Texts as they are; everything else as JSON."""
    if isinstance(content, str):
        return pretty_text(content)
    if isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, dict)]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "\n".join(map(str, texts))
    return "" if content is None else pretty(content)


def _name(value: JSON) -> str | None:
    return None if value is None else str(value)
