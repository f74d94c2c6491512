"""Reads a whole body in AWS's event stream format, of binary frames.

https://smithy.io/2.0/aws/amazon-eventstream.html: the lengths of the frame and of its headers, the
CRC-32 of these two, headers, payload, the CRC-32 of all that.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from capture.wire import errors
from capture.wire.json import lenient
from capture.wire.json.lenient import clean, load
from capture.wire.limits import MAX_EVENTS, TooMuch
from capture.wire.types import JSON

CONTENT_TYPE = "application/vnd.amazon.eventstream"

ERROR = "error"
"""The name under which `objects` yields what ends a stream early."""

_prelude = Struct("!III")
_SMALLEST = _prelude.size + 4
# AWS's own limit on the headers of one frame.
_MAX_HEADERS = 128 * 2**10
# Headers that are remembered, since most frames have those of another.
_MAX_KNOWN = 1_000

# The bytes of a value by the type of its header. The other two types have a length.
_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7

_CUT = "the last frame is cut short"


class EventFrame(NamedTuple):
    """One frame. `headers` are those that are strings, as no other types are read."""

    headers: dict[str, str]
    payload: bytes
    end: int  # its offset in the body


def frames(body: bytes, notes: list[str]) -> Iterator[EventFrame]:
    """Yields the sound frames, up to the first that is not: only its length could say where the
    next one begins. The reason is added to `notes`."""
    view = memoryview(body)
    known: dict[bytes, dict[str, str] | None] = {}
    start = n_frames = 0
    while start < len(body):
        n_frames += 1
        if n_frames > MAX_EVENTS:
            raise TooMuch("frames", MAX_EVENTS)
        if len(known) > _MAX_KNOWN:
            known.clear()
        if len(body) - start < _prelude.size:
            notes.append(_CUT)
            return
        total, size_of_headers, crc = _prelude.unpack_from(body, start)
        if not _is_sound(view, start, total, size_of_headers, crc):
            notes.append(f"the frame at byte {start} is damaged")
            return
        if len(body) - start < total:
            notes.append(_CUT)
            return
        payload_start = start + _prelude.size + size_of_headers
        end = start + total
        raw = body[start + _prelude.size : payload_start]
        headers = known.get(raw)
        if headers is None:
            headers = known[raw] = _headers(raw)
        if headers is None or crc32(view[start : end - 4]) != int.from_bytes(body[end - 4 : end]):
            notes.append(f"the frame at byte {start} is damaged")
            return
        yield EventFrame(headers, body[payload_start : end - 4], end)
        start = end


def _is_sound(view: memoryview, start: int, total: int, size_of_headers: int, crc: int) -> bool:
    if size_of_headers > _MAX_HEADERS or size_of_headers + _SMALLEST > total:
        return False
    return crc32(view[start : start + 8]) == crc


def _headers(raw: bytes) -> dict[str, str] | None:
    """Returns the headers by name; None when their lengths make no sense."""
    headers: dict[str, str] = {}
    position = 0
    while position < len(raw):
        name_end = position + 1 + raw[position]
        if name_end >= len(raw):
            return None
        kind = raw[name_end]
        start = name_end + 1
        if kind in (_BYTES, _STRING):
            start += 2
            end = start + int.from_bytes(raw[start - 2 : start])
        elif kind in _WIDTHS:
            end = start + _WIDTHS[kind]
        else:
            return None
        if end > len(raw):
            return None
        if kind == _STRING:
            name = raw[position + 1 : name_end].decode("utf-8", "replace")
            headers[name] = raw[start:end].decode("utf-8", "replace")
        position = end
    return headers


def read_objects(body: bytes, notes: list[str]) -> Iterator[tuple[str, dict[str, JSON], int]]:
    """Yields the event's type, the object and the end of each frame whose payload is a JSON object.

    What AWS calls an exception or an error comes under `ERROR`, as an object with a `message`.
    """
    unread: list[int] = []
    for headers, payload, end in frames(body, notes):
        if headers.get(":message-type") in ("exception", "error"):
            yield ERROR, {"message": _error_message(headers, payload)}, end
            continue
        value, _ = load(payload)
        if isinstance(value, dict):
            yield headers.get(":event-type", ""), value, end
        else:
            unread.append(end)
    if unread:
        notes.append(
            f"{len(unread)} frames are not JSON objects, the first ends at byte {unread[0]}"
        )


def _error_message(headers: dict[str, str], payload: bytes) -> str:
    """An exception has its message in the payload, an error in its headers."""
    value, _ = load(payload)
    if isinstance(value, dict) and value:
        return errors.message_of_event(value)
    names = (":error-message", ":exception-type", ":error-code")
    found = next(filter(None, map(headers.get, names)), None)
    return clean(found) if found else "an error without a message"


def is_stream(body: bytes, content_type: str) -> bool:
    """Returns True for a response of frames, also when its content type is wrong."""
    if lenient.strip_bom(body[:64]).startswith((b"{", b"[")):
        return False
    if content_type.lower().startswith(CONTENT_TYPE):
        return True
    if len(body) < _prelude.size:
        return False
    return _is_sound(memoryview(body), 0, *_prelude.unpack_from(body))
