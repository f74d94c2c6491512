"""The recorder's side of the spool: from segments back to whole exchanges."""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from capture.exchange import End, Exchange, RequestHead, ResponseHead
from capture.spool import frames
from capture.spool.folder import Folder, SegmentName, SpoolError
from capture.spool.frames import Frame, Kind

logger = logging.getLogger("agentledger.spool")

BLOCK = 1024 * 1024
# Payloads of short calls are kept when they are read, so that most calls are read once.
KEEP_PER_CALL = 64 * 1024
# A body that nobody has written to for this long has no proxy any more.
LEFT_OVER_AFTER_S = 3600.0
KEEP_IN_ALL = 64 * 1024 * 1024

_decode_request = msgspec.json.Decoder(RequestHead).decode
_decode_response = msgspec.json.Decoder(ResponseHead).decode
_decode_end = msgspec.json.Decoder(End).decode
_length = struct.Struct(">I").unpack_from
_time = struct.Struct(">Q").unpack_from


@dataclass(slots=True)
class Segment:
    name: SegmentName
    fd: int
    offset: int  # all before it has been read
    at_end: bool = False  # as far as the file went when it was last read


@dataclass(slots=True)
class Place:
    """Where a frame's payload lies."""

    kind: int
    segment: str
    offset: int
    length: int


@dataclass(slots=True)
class SpooledCall:
    """A call whose records have been seen, not yet in the ledger."""

    action_id: UUID
    writer: str
    next_number: int = 0
    places: list[Place] = field(default_factory=list)
    begins: dict[str, int] = field(default_factory=dict)  # segment → offset of its first frame
    kept: list[bytes] | None = field(default_factory=list)
    size: int = 0
    ended: bool = False
    is_damaged: bool = False


class Reader:
    """Reads all segments of a folder, from the positions that the ledger last committed. The
    recorder's sets aside what is damaged; any other only looks."""

    def __init__(
        self, folder: Folder, positions: Mapping[str, int], *, is_recorder: bool = True
    ) -> None:
        self.folder = folder
        self._is_recorder = is_recorder
        self._positions = positions
        self._segments: dict[str, Segment] = {}
        self._open: dict[bytes, SpooledCall] = {}
        self._kept = 0
        self.n_damaged = 0  # gaps that were set aside
        self.is_caught_up = False  # whether the last read went to the end of all segments

    def has_open_calls(self) -> bool:
        return bool(self._open)

    # --- reading ---

    def read(self, *, max_calls: int, max_bytes: int) -> list[SpooledCall]:
        """Calls that have ended, or whose writer did; empty when there is nothing new."""
        self.is_caught_up = False
        names = self.folder.segments()
        # Asked before reading: a writer that is dead now writes nothing after what we read next.
        alive = self._alive(names)
        ready: list[SpooledCall] = []
        size = 0
        for name in names:
            for call in self._read_segment(name, finished=not self._may_grow(name, names, alive)):
                ready.append(call)
                size += call.size
                if len(ready) >= max_calls or size >= max_bytes:
                    return ready
        for call in [call for call in self._open.values() if call.writer not in alive]:
            del self._open[call.action_id.bytes]
            ready.append(call)
        self.is_caught_up = True
        return ready

    def _alive(self, names: list[SegmentName]) -> set[str]:
        """Writers whose newest segment is locked. Two looks, since it may change between them."""
        alive = set()
        for _ in range(2):
            newest = {name.writer: name for name in names if not name.is_carried}
            alive |= {w for w, name in newest.items() if self.folder.is_locked(name.name)}
            names = self.folder.segments()
        return alive

    @staticmethod
    def _may_grow(name: SegmentName, names: list[SegmentName], alive: set[str]) -> bool:
        if name.is_carried or name.writer not in alive:
            return False
        return all(other.writer != name.writer or other <= name for other in names)

    def _read_segment(self, name: SegmentName, *, finished: bool) -> Iterator[SpooledCall]:
        segment = self._segments.get(name.name)
        if segment is None:
            try:
                fd = os.open(self.folder.path / name.name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            segment = Segment(name, fd, self._positions.get(name.name, 0))
            self._segments[name.name] = segment
        if segment.at_end:
            return
        for frame in self._frames(segment, finished=finished):
            call = self._take(segment, frame)
            if call is not None:
                yield call
        segment.at_end = finished

    def _frames(self, segment: Segment, *, finished: bool) -> Iterator[Frame]:
        """Frames from the segment's offset on, which moves with them."""
        need = BLOCK
        while True:
            block = os.pread(segment.fd, need, segment.offset)
            view = memoryview(block)
            base, position = segment.offset, 0
            while (frame := frames.frame_at(view, position, base)) is not None:
                position = frame.end - base
                segment.offset = frame.end
                yield frame
            if position > 0:
                need = BLOCK
                continue
            if not block:
                return
            wanted = frames.wanted(view, 0)
            if len(block) < wanted and len(block) == need:  # the frame is longer than a block
                need = wanted
                continue
            if not self._pass_damage(segment, finished=finished):
                return
            need = BLOCK

    def _pass_damage(self, segment: Segment, *, finished: bool) -> bool:
        """Whether reading goes on behind what stands at the offset.

        While the segment may grow, a bad frame with nothing good behind it is one being written.
        """
        rest = os.pread(segment.fd, frames.MAX_PAYLOAD * 2, segment.offset)
        # From the offset itself on: what was half written at the first look may be whole by now.
        following = frames.next_frame(rest, 0, segment.offset)
        if following is None and not finished:
            return False
        gap = rest[: following.start - segment.offset] if following else rest
        if gap:
            self._set_aside(segment, gap)
            segment.offset += len(gap)
        return following is not None

    def _set_aside(self, segment: Segment, gap: bytes) -> None:
        if not self._is_recorder:
            return
        self.n_damaged += 1
        self.folder.quarantine.mkdir(mode=0o700, exist_ok=True)
        target = self.folder.quarantine / f"{segment.name.name}-{segment.offset}.gap"
        target.write_bytes(gap)
        logger.error("%d damaged bytes of the spool were set aside in %s", len(gap), target)

    def _take(self, segment: Segment, frame: Frame) -> SpooledCall | None:
        """The frame's call, if this frame was its last."""
        if frame.kind == Kind.SEGMENT:
            if frames.version(frame) > frames.FORMAT_VERSION:
                raise SpoolError(f"{segment.name.name} was written by a newer AgentLedger")
            return None
        call = self._open.get(frame.action_id)
        if call is None:
            call = SpooledCall(UUID(bytes=frame.action_id), segment.name.writer)
            self._open[frame.action_id] = call
        call.begins.setdefault(segment.name.name, frame.start)
        if frame.number < call.next_number:  # it was carried over: seen already
            return None
        call.is_damaged |= frame.number > call.next_number
        call.next_number = frame.number + 1
        length = len(frame.payload)
        offset = frame.end - length
        call.places.append(Place(frame.kind, segment.name.name, offset, length))
        call.size += length
        if frame.kind == Kind.BEGIN:
            call.size += self._size_of_body_file(call.action_id, frame.payload)
        self._keep(call, frame.payload)
        if frame.kind != Kind.END:
            return None
        call.ended = True
        del self._open[frame.action_id]
        return call

    def _size_of_body_file(self, action_id: UUID, begin: memoryview) -> int:
        """A batch is bounded by what all of it takes in memory."""
        (length,) = _length(begin)
        if 4 + length < len(begin):  # the body is in the record
            return 0
        try:
            return self.folder.body_path(action_id).stat().st_size
        except FileNotFoundError:
            return 0

    def _keep(self, call: SpooledCall, payload: memoryview) -> None:
        if call.kept is None:
            return
        if call.size <= KEEP_PER_CALL and self._kept + len(payload) <= KEEP_IN_ALL:
            call.kept.append(bytes(payload))
            self._kept += len(payload)
        else:
            self.forget(call)

    def forget(self, call: SpooledCall) -> None:
        """Of its payloads, what is kept."""
        self._kept -= sum(map(len, call.kept or ()))
        call.kept = None

    # --- one call's exchange ---

    def load(self, call: SpooledCall) -> Exchange:
        """What the call's records say. Reads what was not kept."""
        exchange = Exchange(call.action_id, is_damaged=call.is_damaged)
        for place, payload in zip(call.places, self._payloads(call), strict=True):
            if place.kind == Kind.BEGIN:
                (length,) = _length(payload)
                exchange.request = _decode_request(payload[4 : 4 + length])
                exchange.body = payload[4 + length :]
            elif place.kind == Kind.HEAD:
                exchange.response = _decode_response(payload)
            elif place.kind == Kind.PIECE:
                exchange.piece_times_ns.append(_time(payload)[0])
                exchange.pieces.append(payload[8:])
            else:
                exchange.end = _decode_end(payload)
        if exchange.request is None or exchange.request.body_file:
            exchange.body = self._body_file(call.action_id)
        exchange.is_damaged |= exchange.request is None
        return exchange

    def _payloads(self, call: SpooledCall) -> Iterable[bytes]:
        if call.kept is not None:
            return call.kept
        return (os.pread(self._fd(p.segment), p.length, p.offset) for p in call.places)

    def _fd(self, name: str) -> int:
        return self._segments[name].fd

    def _body_file(self, action_id: UUID) -> bytes | None:
        try:
            return self.folder.body_path(action_id).read_bytes()
        except FileNotFoundError:
            return None

    # --- what is done with ---

    def positions(self) -> dict[str, int]:
        """Where to begin after a restart, segment by segment: before every call still open."""
        positions = {name: segment.offset for name, segment in self._segments.items()}
        for call in self._open.values():
            for name, offset in call.begins.items():
                positions[name] = min(positions[name], offset)
        return positions

    def release(self, calls: Iterable[SpooledCall]) -> list[str]:
        """Remove what these calls, now in the ledger, leave on disk; the names of segments that
        are gone."""
        for call in calls:
            self.forget(call)
            self.folder.body_path(call.action_id).unlink(missing_ok=True)
        in_use = {name for call in self._open.values() for name in call.begins}
        return [self._remove(s) for s in self._done() if s.name.name not in in_use]

    def _done(self) -> list[Segment]:
        return [segment for segment in self._segments.values() if segment.at_end]

    def _remove(self, segment: Segment) -> str:
        os.close(segment.fd)
        (self.folder.path / segment.name.name).unlink(missing_ok=True)
        del self._segments[segment.name.name]
        return segment.name.name

    def close(self) -> None:
        for segment in self._segments.values():
            os.close(segment.fd)
        self._segments.clear()

    def sweep(self) -> None:
        """Remove what a process that died left half made: no call refers to it. Only right when
        the reader has caught up."""
        open_bodies = {self.folder.body_path(call.action_id).name for call in self._open.values()}
        recent = time.time() - LEFT_OVER_AFTER_S
        for path in self.folder.path.iterdir():
            if path.suffix in (".new", ".body") and path.name not in open_bodies:
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < recent:
                        path.unlink()

    def carry_over(self) -> None:
        """Give each call that is still open, and alone holds a segment, a file of its own."""
        done = {segment.name.name for segment in self._done() if not segment.name.is_carried}
        for call in list(self._open.values()):
            if not done.isdisjoint(call.begins):
                self._carry(call)

    def copy(self, call: SpooledCall) -> bytes:
        """The call's records as a segment of their own."""
        return b"".join(piece for _, piece in self._copied(call))

    def _copied(self, call: SpooledCall) -> Iterator[tuple[Place | None, bytes]]:
        """The same in pieces; with each payload, its place there."""
        path = self.folder.carried_path(call.writer, call.action_id.bytes)
        header = frames.segment_header()
        yield None, header
        offset = len(header)
        action_id = call.action_id.bytes
        numbers = range(call.next_number - len(call.places), call.next_number)
        for number, place in zip(numbers, call.places, strict=True):
            payload = os.pread(self._fd(place.segment), place.length, place.offset)
            header = frames.header(Kind(place.kind), action_id, number, payload)
            yield None, header
            offset += len(header)
            yield Place(place.kind, path.name, offset, place.length), payload
            offset += place.length

    def _carry(self, call: SpooledCall) -> None:
        path = self.folder.carried_path(call.writer, call.action_id.bytes)
        unnamed = path.with_suffix(".new")
        places: list[Place] = []
        with unnamed.open("wb") as file:
            for place, piece in self._copied(call):
                file.write(piece)
                if place is not None:
                    places.append(place)
            size = file.tell()
            file.flush()
            os.fdatasync(file.fileno())
        unnamed.rename(path)
        old = self._segments.pop(path.name, None)  # carried before: it was longer in coming
        if old is not None:
            os.close(old.fd)
        name = SegmentName.parse(path.name)
        assert name is not None
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._segments[path.name] = Segment(name, fd, size, at_end=True)
        call.places, call.begins = places, {path.name: 0}
