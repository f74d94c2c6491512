"""Server-sent events, split on bytes, over a whole body at once.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream; as the SDKs
do, an event that the end of the body cuts off before its blank line counts too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from capture.wire.framing import json_array
from capture.wire.json import lenient
from capture.wire.json.fields import objects
from capture.wire.limits import MAX_EVENT_LINES, MAX_EVENTS, TooMuch, check
from capture.wire.types import JSON

Event = tuple[bytes, bytes, int]
"""An event's name (empty when it has none), its data, and the offset of its end in the body."""

DONE = "[DONE]"
"""The name under which `read_objects` gives the marker that ends OpenAI's streams."""

_DONE = b"[DONE]"

# What begins an object that is no field of an event: an error behind a stream, lines of JSON.
_BARE = (b"{", b"[{")
_FIELDS = (b"event:", b"id:", b"retry:", b":")

BOM = b"\xef\xbb\xbf"

# Nearly all events, by the blank line that ends them: data in one line, and a name or none.
_plain = {
    b"\n\n": re.compile(rb"(?:event: ?+([^\n]*+)\n)?+data: ?+([^\n]*+)\n\n"),
    b"\r\n\r\n": re.compile(rb"(?:event: ?+([^\r]*+)\r\n)?+data: ?+([^\r]*+)\r\n\r\n"),
}
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
        match = _plain[blank_line].match
        while True:
            if found := match(body, start):
                start = found.end()
                name, data = found.groups(b"")
                yield name, data, start
            elif (blank_start := body.find(blank_line, start)) >= 0:
                block = body[start:blank_start]
                start = blank_start + len(blank_line)
                yield from _event(block, start)
            else:
                break
    if start < len(body):
        yield from _event(body[start:], len(body))


def _blank_line_of(body: bytes) -> bytes | None:
    """Returns the bytes of a blank line when all lines of a body end alike, else None."""
    if b"\r" not in body:
        return b"\n\n"
    if body.count(b"\r") == body.count(b"\n") == body.count(b"\r\n"):
        return b"\r\n\r\n"
    return None


def _event(block: bytes, end: int) -> Iterator[Event]:
    name = b""
    data: list[bytes] = []
    if len(block) > MAX_EVENT_LINES:
        check(block.count(b"\n") + block.count(b"\r"), MAX_EVENT_LINES, "lines in one event")
    lines = _line_end.split(block)
    for number, line in enumerate(lines):
        if line.startswith(_BARE):
            data += lines[number:]
            break
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
    empty object. Lines of objects are read as events too, and an array of them.

    The name is the object's `type`, unless it has none or the event is an error. The ends of all
    other events are added to `unread`.
    """
    if lenient.strip_bom(body[:64]).startswith(b"["):
        for item, end in json_array.read_objects(body, unread):
            yield _name_of(b"", item), item, end
        return
    load = lenient.load
    begin = number = 0
    for name, data, end in split_events(body):
        number += 1
        value = None if data == _DONE else load(data)[0]
        if isinstance(value, dict):
            yield _name_of(name, value) if name or "type" in value else "", value, end
        elif found := objects(value):  # Gemini's errors
            yield from ((_name_of(name, one), one, end) for one in found)
        elif b"\n" in data:
            number += data.count(b"\n")
            check(number, MAX_EVENTS, "events")
            yield from _read_lines(data, body, begin, end, unread)
        elif data.startswith(_DONE):
            yield DONE, {}, end
        elif name == b"error" and data:  # an error in plain text
            yield "error", {"message": data.decode("utf-8", "replace")}, end
        elif data:
            unread.append(end)
        if number > MAX_EVENTS:
            raise TooMuch("events", MAX_EVENTS)
        begin = end


def _name_of(name: bytes, value: dict[str, JSON]) -> str:
    kind = value.get("type")
    if isinstance(kind, str) and name != b"error":
        return kind
    return "" if name in (b"", b"message") else name.decode("utf-8", "replace")


def _read_lines(
    data: bytes, body: bytes, begin: int, end: int, unread: list[int]
) -> Iterator[tuple[str, dict[str, JSON], int]]:
    """Reads the lines of what is no JSON as a whole: events without blank lines between them, as
    some servers send, or else one whose JSON was broken into lines."""
    found: list[tuple[str, dict[str, JSON], int]] = []
    odd: list[int] = []
    at = begin
    for line in data.split(b"\n"):
        line = line.removeprefix(b"data:").strip()
        place = body.find(line, at, end)
        at = place + len(line) if place >= 0 else at
        value, _ = lenient.load(line)
        if isinstance(value, dict):
            found.append((_name_of(b"", value), value, at))
        elif line.startswith(_DONE):
            found.append((DONE, {}, at))
        elif line and not line.startswith(_FIELDS):
            odd.append(at)
    if not found:
        value, _ = lenient.load(data.replace(b"\n", b""))
        if isinstance(value, dict):
            found, odd = [(_name_of(b"", value), value, end)], []
        else:
            odd = [end]
    unread += odd
    yield from found


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
