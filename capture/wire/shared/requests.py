"""Reads what the request bodies of all formats have in common."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TypeVar

from capture.wire.json.fields import count, fields, join_text, number, objects, text, texts
from capture.wire.json.lenient import clean, clean_json, load
from capture.wire.limits import MAX_PARAMS, check, check_json
from capture.wire.shared.slices import slice_body
from capture.wire.types import JSON, BodyPart, ParsedRequest, PartKind

T = TypeVar("T")

BETWEEN_PROMPTS = "\n\n"

# The roles, or anything below U+0100, such as a letter of theirs, written as an escape.
_PROMPT_HINTS = (b"system", b"developer", b"\\u00")


def read_common(
    body: bytes, kinds: dict[str, PartKind], max_tokens: tuple[str, ...]
) -> tuple[ParsedRequest, dict[str, bytes]]:
    """Reads all but the system prompt; returns also the fields of the body as raw JSON.

    `max_tokens` are the names of that limit, in the order of precedence.
    """
    check_json(body)
    found = slice_body(body, kinds)
    if found is None:
        _, note = load(body)
        return ParsedRequest(note=f"request: {note or 'not a JSON object'}"), {}
    others = {name: value for name, value in found.fields.items() if name not in kinds}
    if kinds:
        check(sum(map(len, others.values())), MAX_PARAMS, "bytes of parameters")
    limits = (_take(others, name, count) for name in max_tokens)
    parsed_request = ParsedRequest(
        model_id=_take(others, "model", text),
        stream=_take(others, "stream", _flag) or False,
        temperature=_take(others, "temperature", number),
        max_tokens=next((limit for limit in limits if limit is not None), None),
        parts=found.parts,
    )
    unread = []
    for name, raw in others.items():
        value, note = load(raw)
        if note is None:
            parsed_request.params[clean(name)] = clean_json(value)
        else:
            unread.append(f"{clean(name)[:40]}: {note}")
    parsed_request.note = "; ".join(unread) or None
    return parsed_request, found.fields


def _take(others: dict[str, bytes], name: str, read: Callable[[JSON], T | None]) -> T | None:
    """Reads a field and removes it from `others`; one of the wrong type stays among them."""
    if name not in others:
        return None
    value, _ = load(others[name])
    found = read(value)
    if found is not None:
        del others[name]
    return found


def _flag(value: JSON) -> bool | None:
    return value if isinstance(value, bool) else None


def prompts_in(parsed_request: ParsedRequest, body: bytes) -> list[str]:
    """Returns the texts of system and developer messages in the history."""
    found: list[str] = []
    messages = [part for part in parsed_request.parts if part.kind == "message"]
    for index in sorted(_indexes_of_prompts(body, messages)):
        value = fields(load(body[messages[index].start : messages[index].end])[0])
        if value.get("role") in ("system", "developer"):
            found += texts(value.get("content"))
    return found


def _indexes_of_prompts(body: bytes, messages: list[BodyPart]) -> set[int]:
    """Returns the indexes of the messages that may have such a role.

    Parsing a long history only for its roles would cost more than all the rest.
    """
    found: set[int] = set()
    starts = [message.start for message in messages]
    for hint in _PROMPT_HINTS:
        position = body.find(hint)
        while position >= 0:
            index = bisect_right(starts, position) - 1
            if index >= 0 and position < messages[index].end:
                found.add(index)
                position = messages[index].end
            else:
                position += len(hint)
            position = body.find(hint, position)
    return found


def system_prompt(*prompts: list[str]) -> str | None:
    return join_text([prompt for some in prompts for prompt in some], BETWEEN_PROMPTS)


def collapse_text_blocks(content: JSON) -> JSON:
    """Content of text blocks alone becomes one text, all other content stays as it is."""
    if isinstance(content, list) and content:
        blocks = objects(content)
        if len(blocks) == len(content) and all(block.get("type") == "text" for block in blocks):
            return join_text(texts(content), "\n") or ""
    return clean_json(content)


def join_tokens(parsed_request: ParsedRequest, body: bytes) -> None:
    """Makes one message of an input that is a list of token numbers, instead of one for each."""
    messages = [part for part in parsed_request.parts if part.kind == "message"]
    if not messages or not body[messages[0].start : messages[0].start + 1].isdigit():
        return
    start = body.rfind(b"[", 0, messages[0].start)
    end = body.find(b"]", messages[-1].end) + 1
    if start < 0 or not end:
        return
    parsed_request.parts = [part for part in parsed_request.parts if part.kind != "message"]
    parsed_request.parts.append(BodyPart("message", start, end))
    parsed_request.parts.sort(key=lambda part: part.start)
