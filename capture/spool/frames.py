"""The format of a segment: a header, then frames, each with its own checksum.

    frame   = MARK kind(1) length(4) crc32(4) action_id(16) number(4) payload(length)
    segment = frame of kind SEGMENT (payload: the format's version), then frames of calls

`number` counts the frames of one call from 0, so that a frame in two files (since its call was
carried over to another one) is read once. The checksum covers the kind and all that follows the
checksum. Integers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

FORMAT_VERSION = 2
# Invalid UTF-8, so that no text in a payload looks like the beginning of a frame.
MARK = b"\xf5\xa1\x1e\xd9"
HEADER = struct.Struct(">4sBII16sI")
_CHECKED = struct.Struct(">16sI")
# Longer than any read from a socket and any body in a record: a greater length is damage.
MAX_PAYLOAD = 64 * 1024 * 1024
NO_CALL = bytes(16)


class Kind(IntEnum):
    SEGMENT = 0
    BEGIN = 1  # the request: its head as JSON, then its body
    HEAD = 2  # the status and headers of the response, as JSON
    PIECE = 3  # a piece of the response's body, after its time
    END = 4  # the outcome of the call, as JSON


KINDS = frozenset(Kind)
# Looking up a member of an enum takes longer than comparing with it.
SEGMENT, BEGIN, HEAD, PIECE, END = map(int, Kind)
_SHORTEST_PAYLOADS = (2, 4, 2, 8, 2)  # by kind


class Frame(NamedTuple):
    kind: int
    action_id: bytes
    number: int
    payload: memoryview
    start: int  # offset of the frame
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def encode_header(kind: Kind, action_id: bytes, number: int, payload: bytes) -> bytes:
    checked = crc32(payload, crc32(_CHECKED.pack(action_id, number), kind))
    return HEADER.pack(MARK, kind, len(payload), checked, action_id, number)


def segment_header() -> bytes:
    payload = struct.pack(">H", FORMAT_VERSION)
    return encode_header(Kind.SEGMENT, NO_CALL, 0, payload) + payload


def format_version(frame: Frame) -> int:
    return int.from_bytes(frame.payload[:2])


def is_well_formed(frame: Frame) -> bool:
    """Returns false for a frame whose checksum is right but that no writer of ours makes."""
    return len(frame.payload) >= _SHORTEST_PAYLOADS[frame.kind]


def frame_at(buffer: memoryview, position: int, base: int) -> Frame | None:
    """Returns the frame at `position` of `buffer`, whose own offset is `base`; None: it is damaged
    or not complete."""
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


def size_of_frame_at(buffer: memoryview, position: int) -> int:
    """Returns the size that the header at `position` announces; 0 where there is no header."""
    if position + HEADER.size > len(buffer):
        return 0
    mark, _, length, _, _, _ = HEADER.unpack_from(buffer, position)
    return HEADER.size + length if mark == MARK and length <= MAX_PAYLOAD else 0


def next_frame(buffer: bytes, position: int, base: int) -> Frame | None:
    """Returns the first undamaged frame at or after `position`, where reading can go on."""
    view = memoryview(buffer)
    for start in marks(buffer, position):
        frame = frame_at(view, start, base)
        if frame is not None:
            return frame
    return None


def marks(buffer: bytes, position: int) -> Iterator[int]:
    """Yields the offsets of MARK, at or after `position`."""
    while (position := buffer.find(MARK, position)) >= 0:
        yield position
        position += 1
