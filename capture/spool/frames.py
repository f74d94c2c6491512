"""The format of a segment: a header, then frames, each with its own checksum.

    frame   = MARK kind(1) length(4) crc32(4) action_id(16) number(4) payload(length)
    segment = frame of kind SEGMENT (payload: the format's version), then frames of calls

`number` counts the frames of one call from 0, so that a frame that stands in two files (a call
carried over to another one) is taken once. The checksum covers all that follows it, and the kind.
Integers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

FORMAT_VERSION = 1
# Invalid UTF-8, so that no text in a payload looks like the beginning of a frame.
MARK = b"\xf5\xa1\x1e\xd9"
HEADER = struct.Struct(">4sBII16sI")
_CHECKED = struct.Struct(">16sI")
# Longer than any piece that a socket read or an inline body yields: a length above it is damage.
MAX_PAYLOAD = 64 * 1024 * 1024
NO_CALL = bytes(16)


class Kind(IntEnum):
    SEGMENT = 0
    BEGIN = 1  # the request: head as JSON, then the body
    HEAD = 2  # the answer's status and headers, as JSON
    PIECE = 3  # a piece of the answer's body, with its time
    END = 4  # how the call ended, as JSON


KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    action_id: bytes
    number: int
    payload: memoryview
    start: int  # offset of the frame
    end: int


def header(kind: Kind, action_id: bytes, number: int, payload: bytes) -> bytes:
    checked = crc32(payload, crc32(_CHECKED.pack(action_id, number), kind))
    return HEADER.pack(MARK, kind, len(payload), checked, action_id, number)


def segment_header() -> bytes:
    payload = struct.pack(">H", FORMAT_VERSION)
    return header(Kind.SEGMENT, NO_CALL, 0, payload) + payload


def version(frame: Frame) -> int:
    (number,) = struct.unpack(">H", frame.payload)
    return int(number)


def frame_at(buffer: memoryview, position: int, base: int) -> Frame | None:
    """The whole, undamaged frame at `position` of `buffer`, whose own offset is `base`, or None."""
    if position + HEADER.size > len(buffer):
        return None
    mark, kind, length, checked, action_id, number = HEADER.unpack_from(buffer, position)
    body = position + HEADER.size
    if mark != MARK or kind not in KINDS or length > MAX_PAYLOAD or body + length > len(buffer):
        return None
    payload = buffer[body : body + length]
    if crc32(payload, crc32(_CHECKED.pack(action_id, number), kind)) != checked:
        return None
    return Frame(kind, action_id, number, payload, base + position, base + body + length)


def wanted(buffer: memoryview, position: int) -> int:
    """How many bytes from `position` on the frame there needs; 0 where there is no header."""
    if position + HEADER.size > len(buffer):
        return 0
    mark, _, length, _, _, _ = HEADER.unpack_from(buffer, position)
    return HEADER.size + length if mark == MARK and length <= MAX_PAYLOAD else 0


def next_frame(buffer: bytes, position: int, base: int) -> Frame | None:
    """The first undamaged frame at or after `position`: where reading goes on behind damage."""
    view = memoryview(buffer)
    for found in marks(buffer, position):
        frame = frame_at(view, found, base)
        if frame is not None:
            return frame
    return None


def marks(buffer: bytes, position: int) -> Iterator[int]:
    while (position := buffer.find(MARK, position)) >= 0:
        yield position
        position += 1
