"""A call as its records are found in segments, and the exchange that they add up to."""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from capture.exchange import End, Exchange, RequestHead, ResponseHead, WholeBody
from capture.spool import frames
from capture.spool.frames import Kind

_decode_request = msgspec.json.Decoder(RequestHead).decode
_decode_response = msgspec.json.Decoder(ResponseHead).decode
_decode_end = msgspec.json.Decoder(End).decode
_unpack_length = struct.Struct(">I").unpack_from
_unpack_time = struct.Struct(">Q").unpack_from
MAX_TIME_NS = 2**63 - 1
# From this size on, what a call holds may take hundreds of megabytes once it is parsed.
LARGE = 4 * 1024 * 1024


@dataclass(slots=True)
class PayloadRef:
    """The place of a frame's payload in a segment."""

    kind: int
    segment: str
    offset: int
    length: int


@dataclass(slots=True)
class SpooledCall:
    """A call whose records have been read, and that is not in the ledger yet."""

    action_id: UUID
    writer: str
    next_number: int = 0
    payloads: list[PayloadRef] = field(default_factory=list)
    first_offsets: dict[str, int] = field(default_factory=dict)  # of its frames, by segment
    # The payloads themselves, as long as the call is short; None: they must be read again.
    in_memory: list[bytes] | None = field(default_factory=list)
    size: int = 0
    may_have_body_file: bool = True  # until a record is read that has the body
    is_damaged: bool = False
    is_requeued: bool = False  # it was set aside before, and the ledger has its raw facts


def has_body_in_record(begin: bytes | memoryview) -> bool:
    """`begin` is the payload of a BEGIN frame. False: the body is empty or in its own file."""
    (length,) = _unpack_length(begin)
    return 4 + int(length) < len(begin)


# What decoding raises, whatever the bytes are.
_MALFORMED = (msgspec.MsgspecError, ValueError, struct.error, RecursionError)


def exchange_of(
    call: SpooledCall,
    payloads: Iterable[bytes],
    set_aside: Callable[[PayloadRef, bytes], None],
    *,
    max_bytes: int = sys.maxsize,
) -> Exchange:
    """Returns what the records say, with at most `max_bytes` of the response in memory; a body in a
    file of its own is not read. A record that says nothing we understand is given to `set_aside`,
    and counts as lost."""
    exchange = Exchange(call.action_id, is_damaged=call.is_damaged)
    beginning = Beginning(max_bytes) if call.size > max_bytes else None
    for ref, payload in zip(call.payloads, payloads, strict=True):
        try:
            if ref.kind == frames.BEGIN:
                (length,) = _unpack_length(payload)
                exchange.request = _decode_request(payload[4 : 4 + length])
                exchange.body = payload[4 + length :]
            elif ref.kind == frames.HEAD:
                exchange.response = _decode_response(payload)
            elif ref.kind == frames.PIECE:
                exchange.piece_times_ns.append(min(_unpack_time(payload)[0], MAX_TIME_NS))
                piece = payload[8:]
                exchange.pieces.append(beginning.add(piece) if beginning else piece)
            else:
                exchange.end = _decode_end(payload)
        except _MALFORMED:
            exchange.is_damaged = True
            set_aside(ref, payload)
    exchange.is_damaged |= exchange.request is None
    exchange.whole_response = beginning.whole_body() if beginning else None
    return exchange


class Beginning:
    """The beginning of a body, up to a limit. Only a body that is longer is hashed here."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: list[bytes] = []
        self._digest = hashlib.sha256()

    def add(self, piece: bytes) -> bytes:
        """Returns what is kept of the next piece."""
        room = max(self._limit - self._size, 0)
        self._size += len(piece)
        self._kept.append(piece)
        if self._size <= self._limit:
            return piece
        for kept in self._kept:
            self._digest.update(kept)
        self._kept.clear()
        return piece[:room]

    def whole_body(self) -> WholeBody | None:
        """Returns None if the body is not longer than the limit."""
        if self._size <= self._limit:
            return None
        return WholeBody(self._size, self._digest.hexdigest())


def copy_as_segment(
    call: SpooledCall, payloads: Iterable[bytes], segment: str
) -> Iterator[tuple[PayloadRef | None, bytes]]:
    """Yields the bytes of a segment of that name with only this call's records. With each payload
    comes its place there, with other bytes None."""
    header = frames.segment_header()
    yield None, header
    offset = len(header)
    action_id = call.action_id.bytes
    numbers = range(call.next_number - len(call.payloads), call.next_number)
    for number, ref, payload in zip(numbers, call.payloads, payloads, strict=True):
        header = frames.encode_header(Kind(ref.kind), action_id, number, payload)
        yield None, header
        offset += len(header)
        yield PayloadRef(ref.kind, segment, offset, ref.length), payload
        offset += ref.length
