"""Slices a request body into parts, and a frame that holds the rest.

An agent sends its growing history with every call; in slices, each message is stored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from capture.wire.json import scanner
from capture.wire.limits import MAX_PARTS, TooMuch
from capture.wire.types import BodyPart, PartKind

_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
_gaps_of = msgspec.msgpack.Decoder(list[bytes | int]).decode


@dataclass(slots=True)
class SlicedBody:
    """The top-level fields of a body as raw JSON, and its parts in order."""

    fields: dict[str, bytes] = field(default_factory=dict)
    parts: list[BodyPart] = field(default_factory=list)


class _NotFound(Exception):
    """A value is not where it was expected: a key is there twice, or blanks are uneven."""


def slice_body(body: bytes, kinds: dict[str, PartKind]) -> SlicedBody | None:
    """Slices a body; returns None unless it is a JSON object.

    `kinds` names the fields that become parts: a `message` field as its items when it is an array,
    else as a whole when it is a string or an object; any other as a whole unless it is null.
    """
    try:
        return _slice_valid_json(body, kinds)
    except (ValueError, RecursionError, _NotFound):  # ValueError: msgspec's own, and not UTF-8
        return _slice_scanned(body, kinds)


def _slice_valid_json(body: bytes, kinds: dict[str, PartKind]) -> SlicedBody:
    found = SlicedBody({name: bytes(raw) for name, raw in _fields_of(body).items()})
    position = 0
    for name, value in found.fields.items():
        kind = kinds.get(name)
        if kind is None or not _is_part(kind, value):
            continue
        # msgspec gives no positions. The values come in the order of the body, so the first
        # occurrence after the previous value is the value itself, or has the same bytes.
        position = _find(body, value, _after_key(body, name, position), position)
        if kind == "message" and value.startswith(b"["):
            position = _find_items(body, value, position, found.parts)
        else:
            end = position + len(value)
            found.parts.append(BodyPart(kind, position, end))
            position = end
    return found


def _is_part(kind: PartKind, value: bytes) -> bool:
    return value.startswith((b"[", b'"', b"{")) if kind == "message" else value != b"null"


def _find_items(body: bytes, array: bytes, position: int, parts: list[BodyPart]) -> int:
    end = position + len(array)
    gap = 1  # between most items it is the same: a comma, a comma and a blank
    items = _items_of(array)
    _check_items(items)
    for raw in items:
        item = bytes(raw)
        start = _find(body, item, position + gap, position)
        gap = start - position
        position = start + len(item)
        if position > end:
            raise _NotFound
        parts.append(BodyPart("message", start, position))
    return end


def _check_items(items: Sequence[bytes | msgspec.Raw]) -> None:
    """Token numbers, as embeddings take them, become one part later."""
    if len(items) > MAX_PARTS and not bytes(items[0])[:1].isdigit():
        raise TooMuch("messages", MAX_PARTS)


def _after_key(body: bytes, name: str, position: int) -> int:
    """Returns the likely beginning of the value of `name`, so that a long value need not be
    searched."""
    key = f'"{name}"'.encode()
    begin = body.find(key, position)
    if begin < 0:  # written with escapes
        return position
    begin += len(key)
    while body[begin : begin + 1] in (b":", b" "):
        begin += 1
    return begin


def _find(body: bytes, value: bytes, guess: int, position: int) -> int:
    if body.startswith(value, guess):
        return guess
    begin = body.find(value, position)
    if begin < 0:
        raise _NotFound
    return begin


def _slice_scanned(body: bytes, kinds: dict[str, PartKind]) -> SlicedBody | None:
    children = scanner.children(body)
    if children is None or not body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return None
    last = {child.key or "": child for child in children}  # of two with one key, the last one
    found = SlicedBody({name: body[child.start : child.end] for name, child in last.items()})
    for name, (_, start, end) in last.items():
        kind = kinds.get(name)
        value = found.fields[name]
        if kind is None or not _is_part(kind, value):
            continue
        if kind == "message" and value.startswith(b"["):
            items = scanner.children(value) or []
            _check_items([value[item.start : item.start + 1] for item in items])
            for item in items:
                found.parts.append(BodyPart(kind, start + item.start, start + item.end))
        else:
            found.parts.append(BodyPart(kind, start, end))
    found.parts.sort(key=lambda part: part.start)
    return found


def make_frame(body: bytes, parts: list[BodyPart]) -> bytes:
    """Returns the frame, which `join_parts` needs to restore the body. The parts are in order,
    without overlap.

    It is a msgpack array of the texts before, between and after the parts, each with the number of
    times that it comes in a row: mostly it is a comma, hundreds of times.
    """
    gaps = []
    position = 0
    for part in parts:
        if not position <= part.start <= part.end <= len(body):
            raise ValueError("parts overlap, are out of order or out of bounds")
        gaps.append(body[position : part.start])
        position = part.end
    gaps.append(body[position:])
    runs: list[bytes | int] = []
    begin = 0
    for end in range(1, len(gaps) + 1):
        if end == len(gaps) or gaps[end] != gaps[begin]:
            runs += (gaps[begin], end - begin)
            begin = end
    return msgspec.msgpack.encode(runs)


def join_parts(frame: bytes, parts: list[bytes]) -> bytes:
    """Restores the body. Raises ValueError when the frame is invalid, or made for another number of
    parts."""
    first, *gaps = split_frame(frame, len(parts))
    body = [first]
    for part, gap in zip(parts, gaps, strict=True):
        body += (part, gap)
    return b"".join(body)


def split_frame(frame: bytes, n_parts: int) -> list[bytes]:
    """Returns the texts before, between and after the parts. Raises ValueError as `join_parts`
    does."""
    runs = _gaps_of(frame)
    gaps: list[bytes] = []
    left = n_parts + 1
    for gap, times in zip(runs[::2], runs[1::2], strict=True):
        if not isinstance(gap, bytes) or not isinstance(times, int) or not 0 < times <= left:
            raise ValueError("not a frame of this many parts")
        left -= times
        gaps += [gap] * times
    if left:
        raise ValueError("not a frame of this many parts")
    return gaps
