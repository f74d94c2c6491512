"""The proxy's side of the spool: one writer per process, and a call writer for each call."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import NamedTuple
from uuid import UUID

import msgspec

from capture.exchange import End, Outcome, RecordedHeaders, RequestHead, ResponseHead
from capture.spool import frames
from capture.spool.backlog import Backlog
from capture.spool.folder import Folder, SpoolError, new_writer
from capture.spool.frames import Kind
from capture.spool.segment_writer import SegmentWriter

SEGMENT_BYTES = 32 * 1024 * 1024
# Calls are refused when less than this is free on the disk, so that running ones can end.
DISK_RESERVE = 64 * 1024 * 1024
MEASURE_EVERY_S = 0.5
MEASURE_FULL_DISK_EVERY_S = 0.05
# One ring of the doorbell covers all calls that end within this time.
RING_AFTER_S = 0.02
# Bytes of a body's beginning and end that stay in memory while its call runs.
EDGE = 1024

_encode = msgspec.json.Encoder().encode
_pack_length = struct.Struct(">I").pack
_pack_time = struct.Struct(">Q").pack


class RunningCall(NamedTuple):
    """A running call, with the parts of its body that may name the model."""

    head: RequestHead
    beginning: bytes
    ending: bytes


class SpoolFull(SpoolError):
    """There is no room for another call; running ones may go on."""

    summary = "the spool is full, or its disk is"


class Writer:
    """Appends the records of this process's calls. It must not be used from several threads.

    Methods that write raise SpoolError when a record cannot be written; the segment is then as it
    was before.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        max_bytes: int,
        fsync: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.fsync = fsync
        self.id = _new_id(folder)
        segment_bytes = min(segment_bytes, max(max_bytes // 4, 64 * 1024))
        self._segments = SegmentWriter(folder, self.id, segment_bytes=segment_bytes, fsync=fsync)
        self._unrecorded = 0  # bytes in the folder when last measured, and written since then
        self._measured = float("-inf")
        self._disk_has_room = True
        self._late_ends: list[tuple[CallWriter, bytes]] = []  # ends that could not be written yet
        self._ring: asyncio.TimerHandle | None = None
        self.backlog = Backlog(folder)
        # The running calls by action_id, for the pages that show them.
        self.running: dict[bytes, RunningCall] = {}

    def begin(self, action_id: UUID, head: RequestHead, body: bytes) -> CallWriter:
        """Writes the first record of a call, before it is forwarded. Raises SpoolFull or
        SpoolError."""
        if not self.has_room():
            raise SpoolFull(f"the spool {self.folder.path} is full, or its disk is")
        if self._segments.is_full:
            self._segments.begin_next()
        call = CallWriter(self, action_id.bytes, time.monotonic_ns())
        encoded = _encode(head)
        call.write((Kind.BEGIN, b"".join((_pack_length(len(encoded)), encoded, body))))
        self.running[action_id.bytes] = RunningCall(head, body[:EDGE], body[-EDGE:])
        return call

    def has_room(self) -> bool:
        now = time.monotonic()
        every_s = MEASURE_EVERY_S if self._disk_has_room else MEASURE_FULL_DISK_EVERY_S
        if now - self._measured > every_s:
            self._measured = now
            self._disk_has_room = self._measure()
        return self._disk_has_room and self._unrecorded < self.max_bytes

    def _measure(self) -> bool:
        """Measures the spool; returns whether its disk takes calls."""
        try:
            self._unrecorded = self.folder.size()
            return self.folder.free() >= DISK_RESERVE and self._segments.is_in_place()
        except OSError:  # the folder was deleted: what were written now nobody would find
            return False

    def append(self, action_id: bytes, number: int, *records: tuple[Kind, bytes]) -> None:
        """Writes consecutive records of one call in one system call."""
        buffers: list[bytes] = []
        for kind, payload in records:
            buffers += (frames.encode_header(kind, action_id, number, payload), payload)
            number += 1
        total = sum(map(len, buffers))
        try:
            self._segments.write(buffers, total)
        except SpoolError:
            self._disk_has_room, self._measured = False, time.monotonic()
            raise
        self._unrecorded += total

    def add_bytes(self, n_bytes: int) -> None:
        """Counts a body that is in a file of its own; a negative number gives its room back."""
        self._unrecorded += n_bytes

    def write_end_later(self, call: CallWriter, end: bytes) -> None:
        """Makes `tidy` write this end: without one, the call would stay open as long as this
        process lives."""
        self._late_ends.append((call, end))

    def tidy(self) -> None:
        """Must be called every few seconds: writes late ends, and begins a new segment if this one
        is old. Raises SpoolError."""
        self.backlog.tidy()
        while self._late_ends:
            call, end = self._late_ends[0]
            call.write((Kind.END, end))
            del self._late_ends[0]
            self.ring_soon()
        if self._segments.is_old:
            self._segments.begin_next()
            self.ring_soon()

    async def sync(self) -> None:
        """Returns when all that was written so far is on the disk."""
        await self._segments.sync()

    def close(self) -> None:
        if self._ring is not None:
            self._ring.cancel()
        self._segments.close()
        self.folder.ring_doorbell()

    def ring_soon(self) -> None:
        """Wakes the recorder a moment later."""
        if self._ring is None:
            loop = asyncio.get_running_loop()
            self._ring = loop.call_later(RING_AFTER_S, self._ring_now)

    def _ring_now(self) -> None:
        self._ring = None
        self.folder.ring_doorbell()


def _new_id(folder: Folder) -> str:
    """Returns an id that sorts after those of earlier writers, even if the clock was set back."""
    newest = max((int(name.writer[:16], 16) for name in folder.segments()), default=0)
    return new_writer(max(time.time_ns(), newest + 1))


class CallWriter:
    """One call in the spool. It takes the times of records, in nanoseconds since the call began."""

    __slots__ = ("_action_id", "_number", "_started", "_writer", "has_ended")

    def __init__(self, writer: Writer, action_id: bytes, started: int) -> None:
        self._writer = writer
        self._action_id = action_id
        self._started = started
        self._number = 0
        self.has_ended = False

    def write(self, *records: tuple[Kind, bytes]) -> None:
        number = self._number
        # Counted even if they do not fit: missing numbers tell the reader that records are missing.
        self._number += len(records)
        self._writer.append(self._action_id, number, *records)

    def write_head(self, status: int, headers: RecordedHeaders) -> None:
        now = time.monotonic_ns() - self._started
        self.write((Kind.HEAD, _encode(ResponseHead(status, headers, now))))

    def write_piece(self, piece: bytes) -> None:
        self.write((Kind.PIECE, _pack_time(time.monotonic_ns() - self._started) + piece))

    def write_response(
        self,
        status: int,
        headers: RecordedHeaders,
        body: bytes,
        *,
        outcome: Outcome = Outcome.COMPLETED,
        error: str | None = None,
        is_ours: bool = False,
    ) -> None:
        """Writes a complete response: its head, body and end."""
        now = time.monotonic_ns() - self._started
        self._write_last(
            (Kind.HEAD, _encode(ResponseHead(status, headers, now, is_ours))),
            (Kind.PIECE, _pack_time(now) + body),
            (Kind.END, _encode(End(outcome, now, error))),
        )

    def end(self, outcome: Outcome, error: str | None = None) -> None:
        """Writes the last record. Later ends are ignored, so that every way out of a call may end
        it."""
        if not self.has_ended:
            now = time.monotonic_ns() - self._started
            self._write_last((Kind.END, _encode(End(outcome, now, error))))

    async def sync(self) -> None:
        if self._writer.fsync:
            await self._writer.sync()

    def _write_last(self, *records: tuple[Kind, bytes]) -> None:
        self.has_ended = True
        self._writer.running.pop(self._action_id, None)
        try:
            self.write(*records)
        except SpoolError as error:
            now = time.monotonic_ns() - self._started
            self._writer.write_end_later(self, _encode(End(Outcome.INTERRUPTED, now, str(error))))
            raise
        self._writer.backlog.add()
        self._writer.ring_soon()
