"""Reads a JSON array of objects that is sent piece by piece, as far as it came.

Gemini streams like this unless events are requested: `[{…}\\n,\\r\\n{…}]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from capture.wire.json import lenient
from capture.wire.limits import MAX_EVENTS, TooMuch, check_values
from capture.wire.types import JSON

_items_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
_SEPARATOR = b"\n,\r\n"
_between = re.compile(rb"[ \t\r\n,]*+")

# A string, which the end of the body may cut off, or what opens and closes an object. Possessive
# quantifiers: without them a long string costs memory for every character.
_mark = re.compile(rb'"(?:[^"\\]++|\\.|\\\Z)*+"?+|[{}]', re.DOTALL)


def read_objects(body: bytes, unread: list[int]) -> Iterator[tuple[dict[str, JSON], int]]:
    """Yields the objects, and the offset in the body at which each ended.

    The ends of items that are not objects are added to `unread`.
    """
    check_values(body)
    for number, (value, end) in enumerate(_items(body)):
        if number == MAX_EVENTS:
            raise TooMuch("items", MAX_EVENTS)
        if isinstance(value, dict):
            yield value, end
        else:
            unread.append(end)


def _items(body: bytes) -> Iterator[tuple[JSON, int]]:
    """Yields the items, and where each ends. No string holds Google's separator, so that what
    stands between two of them is an item if it is JSON."""
    load = lenient.load
    begin = body.find(b"[") + 1
    while (end := body.find(_SEPARATOR, begin)) >= 0:
        item = body[begin:end].rstrip()
        value, note = load(item)
        if note is not None:
            break
        yield value, begin + len(item)
        begin = end + len(_SEPARATOR)
    for start, end in _spans_of_rest(body, begin) or _spans(body, begin):
        yield load(body[start:end])[0], end


def _spans_of_rest(body: bytes, begin: int) -> list[tuple[int, int]] | None:
    """Returns the begin and end of each item of an array that is complete from `begin` on; None
    when it is not."""
    try:
        items = _items_of(b"[" + body[begin:])
    except (ValueError, RecursionError):  # ValueError: msgspec's own, and not UTF-8
        return None
    found = []
    for raw in items:
        blanks = _between.match(body, begin)
        start = blanks.end() if blanks else begin
        begin = start + len(bytes(raw))
        found.append((start, begin))
    return found


def _spans(body: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Yields the begin and end of each object, whatever stands around it; the last one may be cut
    off."""
    begin = depth = 0
    for mark in _mark.finditer(body, start):
        opening = body[mark.start()]
        if opening == ord("{"):
            if not depth:
                begin = mark.start()
            depth += 1
        elif opening == ord("}") and depth:
            depth -= 1
            if not depth:
                yield begin, mark.end()
    if depth:
        yield begin, len(body)
