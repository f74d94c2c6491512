"""The recorder's side of the spool: from segments back to whole exchanges."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from capture.exchange import Exchange
from capture.spool import frames, quarantine
from capture.spool.folder import Folder, SegmentName
from capture.spool.frames import BEGIN, END, FORMAT_VERSION, SEGMENT, Frame
from capture.spool.ownership import foreign_writers
from capture.spool.segment_reader import BLOCK, SegmentReader
from capture.spool.spooled_call import (
    Beginning,
    PayloadRef,
    SpooledCall,
    copy_as_segment,
    exchange_of,
    has_body_in_record,
)

logger = logging.getLogger("agentledger.spool")

# Payloads of short calls stay in memory, so that most calls are read from the disk once.
MEMORY_PER_CALL = 64 * 1024
MEMORY_IN_ALL = 64 * 1024 * 1024
# A file that did not change for this long, as far as this process saw, has no proxy any more.
ABANDONED_AFTER_S = 3600.0


class Reader:
    """Reads all segments of a folder, from the positions that the ledger last committed. The
    recorder's reader sets damaged bytes aside; any other changes nothing."""

    def __init__(
        self, folder: Folder, positions: Mapping[str, int], *, is_recorder: bool = True
    ) -> None:
        self.folder = folder
        self._is_recorder = is_recorder
        self._positions = positions
        self._foreign = foreign_writers(folder)
        self._segments: dict[str, SegmentReader] = {}
        self._open: dict[bytes, SpooledCall] = {}
        self._bytes_in_memory = 0
        # Files without a call, with what they were like and since when (monotonic).
        self._unfinished: dict[str, tuple[tuple[int, int], float]] = {}
        self._damaged: set[tuple[str, int]] = set()
        self._left_alone: set[str] = set()
        self.is_caught_up = False  # whether the last read reached the end of all segments

    @property
    def n_damaged(self) -> int:
        """The gaps and records that were set aside."""
        return len(self._damaged)

    @property
    def n_left_alone(self) -> int:
        """The segments that this version cannot read, or may not."""
        return len(self._left_alone)

    def has_open_calls(self) -> bool:
        return bool(self._open)

    def close(self) -> None:
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()

    # --- reading calls ---

    def read(self, *, max_calls: int, max_bytes: int) -> list[SpooledCall]:
        """Returns calls that have ended, or whose writer has ended; empty if there is nothing
        new."""
        self.is_caught_up = False
        names = self._own_segments()
        # Checked before reading: a writer that is dead now adds nothing to what is read next.
        alive = self._living_writers(names)
        ready: list[SpooledCall] = []
        size = 0
        for name in names:
            for call in self._read_segment(name, may_grow=_may_grow(name, names, alive)):
                ready.append(call)
                size += call.size
                if len(ready) >= max_calls or size >= max_bytes:
                    return ready
        for call in [call for call in self._open.values() if call.writer not in alive]:
            del self._open[call.action_id.bytes]
            ready.append(call)
        self.is_caught_up = True
        return ready

    def _own_segments(self) -> list[SegmentName]:
        return [name for name in self.folder.segments() if name.writer not in self._foreign]

    def _living_writers(self, names: list[SegmentName]) -> set[str]:
        """Returns the writers whose newest segment is locked. Looks twice, since a writer may begin
        another segment in between."""
        alive = set()
        for _ in range(2):
            newest = {name.writer: name for name in names if not name.is_carried}
            alive |= {w for w, name in newest.items() if self.folder.is_locked(name.name)}
            names = self.folder.segments()
        return alive

    def _read_segment(self, name: SegmentName, *, may_grow: bool) -> Iterator[SpooledCall]:
        if name.name in self._left_alone:
            return
        segment = self._segments.get(name.name)
        if segment is None:
            offset = self._positions.get(name.name, 0)
            try:
                segment = self._open_segment(name, offset)
            except FileNotFoundError:
                return
            except PermissionError as error:
                self._leave_alone(name, f"it cannot be read: {error}")
                return
        if segment.is_at_end:
            return
        for frame in segment.frames(may_grow=may_grow):
            if not frames.is_well_formed(frame):
                self._set_aside(name, frame.start, segment.payload(frame.start, frame.size))
            elif frame.kind != SEGMENT:
                call = self._add_frame(segment, frame)
                if call is not None:
                    yield call
            elif frame.start == 0 and (version := frames.format_version(frame)) != FORMAT_VERSION:
                del self._segments[name.name]
                segment.close()
                self._leave_alone(
                    name,
                    f"its format is version {version}, and this AgentLedger reads {FORMAT_VERSION}:"
                    " start the version of AgentLedger that wrote it, which records it",
                )
                return
        segment.is_at_end = not may_grow

    def _leave_alone(self, name: SegmentName, reason: str) -> None:
        """The segment stays as it is, and the others are read."""
        self._left_alone.add(name.name)
        if self._is_recorder:
            logger.error("%s is left alone: %s", self.folder.path / name.name, reason)

    def _open_segment(
        self, name: SegmentName, offset: int, *, is_at_end: bool = False
    ) -> SegmentReader:
        path = self.folder.path / name.name
        segment = SegmentReader(path, name, offset, self._set_aside, is_at_end=is_at_end)
        self._segments[name.name] = segment
        return segment

    def _set_aside(self, name: SegmentName, offset: int, gap: bytes) -> None:
        if not self._is_recorder or (name.name, offset) in self._damaged:
            return
        self._damaged.add((name.name, offset))
        target = quarantine.add_gap(self.folder, f"{name.name}-{offset}", gap)
        logger.error("%d damaged bytes of the spool were set aside in %s", len(gap), target)

    def _set_aside_record(self, ref: PayloadRef, payload: bytes) -> None:
        name = SegmentName.parse(ref.segment)
        assert name is not None
        self._set_aside(name, ref.offset, payload)

    def _add_frame(self, segment: SegmentReader, frame: Frame) -> SpooledCall | None:
        """Returns the frame's call if this frame was its last."""
        name = segment.name.name
        kind, action_id, number, payload, start, end = frame
        call = self._open.get(action_id)
        if call is None:
            call = SpooledCall(
                UUID(bytes=action_id),
                segment.name.writer,
                is_requeued=segment.name.is_requeued,
            )
            self._open[action_id] = call
        call.first_offsets.setdefault(name, start)
        if number < call.next_number:  # the call was carried over: this was read already
            return None
        call.is_damaged |= number > call.next_number
        call.next_number = number + 1
        length = len(payload)
        call.payloads.append(PayloadRef(kind, name, end - length, length))
        call.size += length
        if kind == BEGIN:
            call.may_have_body_file = not has_body_in_record(payload)
            if call.may_have_body_file:
                call.size += self._size_of_body_file(call.action_id)
        self._remember(call, payload)
        if kind != END:
            return None
        del self._open[action_id]
        return call

    def _size_of_body_file(self, action_id: UUID) -> int:
        """A call's size includes this, since batches are bounded by what they take in memory."""
        try:
            return self.folder.body_path(action_id).stat().st_size
        except FileNotFoundError:
            return 0

    # --- the payloads of a call ---

    def load(self, call: SpooledCall, *, max_body: int = sys.maxsize) -> Exchange:
        """Returns the exchange of a call; reads what is not in memory. Of a body of more than
        `max_body` bytes, only the beginning is returned."""
        payloads = self._payloads(call)
        exchange = exchange_of(call, payloads, self._set_aside_record, max_bytes=max_body)
        if exchange.request is None or exchange.request.has_body_file:
            self._read_body_file(exchange, max_body)
        return exchange

    def _read_body_file(self, exchange: Exchange, max_body: int) -> None:
        exchange.body = None
        beginning = Beginning(max_body)
        with (
            contextlib.suppress(FileNotFoundError),
            self.folder.body_path(exchange.action_id).open("rb") as file,
        ):
            size = os.fstat(file.fileno()).st_size
            exchange.body = beginning.add(file.read(min(size, max_body)))
            while block := file.read(BLOCK):
                beginning.add(block)
        exchange.whole_body = beginning.whole_body()

    def forget(self, call: SpooledCall) -> None:
        """Drops the payloads that are in memory."""
        self._bytes_in_memory -= sum(map(len, call.in_memory or ()))
        call.in_memory = None

    def _remember(self, call: SpooledCall, payload: memoryview) -> None:
        if call.in_memory is None:
            return
        total = self._bytes_in_memory + len(payload)
        if call.size <= MEMORY_PER_CALL and total <= MEMORY_IN_ALL:
            call.in_memory.append(bytes(payload))
            self._bytes_in_memory = total
        else:
            self.forget(call)

    def _payloads(self, call: SpooledCall) -> Iterable[bytes]:
        return call.in_memory if call.in_memory is not None else self._payloads_on_disk(call)

    def _payloads_on_disk(self, call: SpooledCall) -> Iterator[bytes]:
        for ref in call.payloads:
            yield self._segments[ref.segment].payload(ref.offset, ref.length)

    # --- after calls are in the ledger ---

    def positions(self) -> dict[str, int]:
        """Returns where to begin after a restart, by segment: before every call still open."""
        positions = {name: segment.offset for name, segment in self._segments.items()}
        for call in self._open.values():
            for name, offset in call.first_offsets.items():
                positions[name] = min(positions[name], offset)
        return positions

    def release(self, calls: Iterable[SpooledCall]) -> list[str]:
        """Removes what these calls, now in the ledger, leave on disk. Returns the names of the
        segments that were removed."""
        for call in calls:
            self.forget(call)
            if call.may_have_body_file:
                self.folder.body_path(call.action_id).unlink(missing_ok=True)
        in_use = {name for call in self._open.values() for name in call.first_offsets}
        return [self._remove(s) for s in self._finished_segments() if s.name.name not in in_use]

    def sweep(self) -> None:
        """Removes unfinished files of processes that died: no call refers to them. May be called
        only when the reader has caught up."""
        open_bodies = {self.folder.body_path(call.action_id).name for call in self._open.values()}
        now, seen = time.monotonic(), self._unfinished
        self._unfinished = {}
        for path in self.folder.path.iterdir():
            # Bodies of another ledger's calls are not known from here.
            suffixes = (".new",) if self._foreign else (".new", ".body")
            if path.suffix in suffixes and path.name not in open_bodies:
                with contextlib.suppress(FileNotFoundError):
                    found = path.stat()
                    state = (found.st_mtime_ns, found.st_size)
                    before, since = seen.get(path.name, (state, now))
                    if before != state:
                        since = now
                    if now - since < ABANDONED_AFTER_S:
                        self._unfinished[path.name] = (state, since)
                    else:
                        path.unlink()

    def _finished_segments(self) -> list[SegmentReader]:
        return [segment for segment in self._segments.values() if segment.is_at_end]

    def _remove(self, segment: SegmentReader) -> str:
        segment.close()
        (self.folder.path / segment.name.name).unlink(missing_ok=True)
        del self._segments[segment.name.name]
        return segment.name.name

    # --- calls in files of their own ---

    def set_aside(self, call: SpooledCall, reason: str) -> None:
        """Copies the call's records to the quarantine. Its body's own file stays in the spool too,
        until the ledger's position has passed the call."""
        payloads = self._payloads_on_disk(call)
        records = (data for _, data in copy_as_segment(call, payloads, ""))
        quarantine.add_call(self.folder, call.action_id, reason, call.writer, records)

    def carry_over(self) -> None:
        """Moves each call that is still open, and alone keeps a segment, to a file of its own."""
        done = {
            segment.name.name
            for segment in self._finished_segments()
            if not segment.name.is_carried
        }
        for call in list(self._open.values()):
            if not done.isdisjoint(call.first_offsets):
                self._carry(call)

    def _carry(self, call: SpooledCall) -> None:
        path = self.folder.carried_path(call.writer, call.action_id.bytes)
        unnamed = path.with_suffix(".new")
        refs: list[PayloadRef] = []
        with unnamed.open("wb") as file:
            for ref, data in copy_as_segment(call, self._payloads_on_disk(call), path.name):
                file.write(data)
                if ref is not None:
                    refs.append(ref)
            size = file.tell()
            file.flush()
            os.fdatasync(file.fileno())
        unnamed.rename(path)
        replaced = self._segments.pop(path.name, None)  # it was carried before, and has grown
        if replaced is not None:
            replaced.close()
        name = SegmentName.parse(path.name)
        assert name is not None
        self._open_segment(name, size, is_at_end=True)
        call.payloads, call.first_offsets = refs, {path.name: 0}


def _may_grow(name: SegmentName, names: list[SegmentName], alive: set[str]) -> bool:
    if name.is_carried or name.writer not in alive:
        return False
    return all(other.writer != name.writer or other <= name for other in names)
