"""Server-sent events, split on bytes, over a whole body at once.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream; as the SDKs
do, an event that the end of the body cuts off before its blank line counts too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from capture.wire.json import lenient
from capture.wire.limits import MAX_EVENT_LINES, MAX_EVENTS, TooMuch, check
from capture.wire.types import JSON

Event = tuple[bytes, bytes, int]
"""An event's name (empty when it has none), its data, and the offset of its end in the body."""

DONE = "[DONE]"
"""The name under which `objects` gives the marker that ends OpenAI's streams."""

BOM = b"\xef\xbb\xbf"

# Atomic groups, as `\r\n` is one line end and must not match as two.
_any_blank_line = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_line_end = re.compile(rb"\r\n|\r|\n")


def split_events(body: bytes) -> Iterator[Event]:
    start = len(BOM) if body.startswith(BOM) else 0
    blank_line = _blank_line_of(body)
    if blank_line is None:
        for blank in _any_blank_line.finditer(body, start):
            yield from _event(body[start : blank.start()], blank.end())
            start = blank.end()
    else:
        while (blank_start := body.find(blank_line, start)) >= 0:
            block = body[start:blank_start]
            start = blank_start + len(blank_line)
            if block.startswith(b"data: ") and b"\n" not in block:  # nearly all of them
                yield b"", block[6:], start
            else:
                yield from _event(block, start)
    if start < len(body):
        yield from _event(body[start:], len(body))


def _blank_line_of(body: bytes) -> bytes | None:
    """Returns the bytes of a blank line when all lines of a body end alike, else None."""
    returns = body.count(b"\r")
    if not returns:
        return b"\n\n"
    if returns == body.count(b"\n") == body.count(b"\r\n"):
        return b"\r\n\r\n"
    return None


def _event(block: bytes, end: int) -> Iterator[Event]:
    name = b""
    data: list[bytes] = []
    if len(block) > MAX_EVENT_LINES:
        check(block.count(b"\n") + block.count(b"\r"), MAX_EVENT_LINES, "lines in one event")
    for line in _line_end.split(block):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    if data:
        yield name, b"\n".join(data), end


def read_objects(body: bytes, unread: list[int]) -> Iterator[tuple[str, dict[str, JSON], int]]:
    """Yields the name, object and end of the events whose data are JSON objects, and `DONE` with an
    empty object.

    The name is the object's `type` when the event has none. The ends of all other events are added
    to `unread`.
    """
    load = lenient.load
    for number, (name, data, end) in enumerate(split_events(body)):
        if number == MAX_EVENTS:
            raise TooMuch("events", MAX_EVENTS)
        value, _ = load(data)
        if isinstance(value, dict):
            if not name or name == b"message":  # the name that an event without one has
                kind = value.get("type")
                yield kind if isinstance(kind, str) else "", value, end
            else:
                yield name.decode("utf-8", "replace"), value, end
        elif data.startswith(b"[DONE]"):
            yield DONE, {}, end
        elif data:
            unread.append(end)


def note(unread: list[int], body: bytes) -> str | None:
    """Returns the note about events that could not be read; None when there are none."""
    if not unread:
        return None
    if unread == [len(body)]:
        return "the last event is cut short"
    return f"{len(unread)} events are not JSON objects, the first ends at byte {unread[0]}"


def is_stream(body: bytes, content_type: str) -> bool:
    """Returns True for a response that is an event stream, also when its content type is wrong."""
    head = lenient.strip_bom(body[:64])
    if head.startswith((b"{", b"[")):
        return False
    if head.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return True
    return content_type.lower().startswith("text/event-stream")
