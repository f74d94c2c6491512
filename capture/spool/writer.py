"""The proxy's side of the spool: one writer a process, one system call a record."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec

from capture.exchange import End, Outcome, RequestHead, ResponseHead
from capture.spool import frames
from capture.spool.folder import Folder, SpoolError, try_lock
from capture.spool.frames import Kind

SEGMENT_BYTES = 32 * 1024 * 1024
# A segment that calls no longer come to is closed, so that what was recorded leaves the disk.
SEGMENT_AGE_S = 60.0
# Calls are refused while the disk still has this much, so that running ones can end.
DISK_RESERVE = 64 * 1024 * 1024
MEASURE_EVERY_S = 0.5
# One ring tells the recorder of all calls that ended within this time.
RING_AFTER_S = 0.02

_encode = msgspec.json.Encoder().encode
_length = struct.Struct(">I").pack
_time = struct.Struct(">Q").pack


# Bytes of a body's beginning and end that are kept while its call runs.
EDGE = 1024


class Running(NamedTuple):
    """A call under way, and where its body may name the model."""

    head: RequestHead
    beginning: bytes
    ending: bytes


class SpoolFull(SpoolError):
    """No room for another call; running ones may go on."""


class Writer:
    """Appends the records of this process's calls. Not for use from several threads.

    Methods that write raise SpoolError when the disk does not take the record; the file is then
    as it was before.
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
        self.id = f"{time.time_ns():016x}"[-16:] + secrets.token_hex(2)
        self._segment_bytes = min(segment_bytes, max(max_bytes // 4, 64 * 1024))
        self._number = 0
        self._fd = -1
        self._size = 0
        self._opened = 0.0
        self._waiting = 0  # bytes not yet recorded, as last measured, and written since
        self._measured = float("-inf")
        self._room = True
        self._cut = False  # a record did not fit, and was cut off the segment's end
        self._owed: list[tuple[Entry, bytes]] = []  # ends that could not be written yet
        self._written = 0  # bytes ever
        self._synced = 0
        self._syncing: asyncio.Future[None] | None = None
        self._to_sync: list[int] = []  # closed segments that are not on the disk yet
        self._ring: asyncio.TimerHandle | None = None
        # The calls under way, by action_id: for readers.
        self.running: dict[bytes, Running] = {}
        self._next_segment()

    # --- calls ---

    def begin(self, action_id: UUID, head: RequestHead, body: bytes) -> Entry:
        """The first record of a call, before it is forwarded. Raises SpoolFull, SpoolError."""
        if not self.has_room():
            raise SpoolFull(f"the spool {self.folder.path} is full, or its disk is")
        if self._size >= self._segment_bytes:
            self._next_segment()
        entry = Entry(self, action_id.bytes, time.monotonic_ns())
        encoded = _encode(head)
        entry.write((Kind.BEGIN, b"".join((_length(len(encoded)), encoded, body))))
        self.running[action_id.bytes] = Running(head, body[:EDGE], body[-EDGE:])
        return entry

    def has_room(self) -> bool:
        now = time.monotonic()
        if now - self._measured > (MEASURE_EVERY_S if self._room else 0.05):
            self._measured = now
            self._waiting = self.folder.size()
            disk_full = self.folder.free() < DISK_RESERVE
            self._room = not disk_full
        return self._room and self._waiting < self.max_bytes

    def append(self, action_id: bytes, number: int, *records: tuple[Kind, bytes]) -> None:
        """Records of one call that follow one another, in one system call."""
        if self._cut:
            # A reader may have seen some of what was cut off: nothing is written over it.
            self._next_segment()
        buffers: list[bytes] = []
        for kind, payload in records:
            buffers += (frames.header(kind, action_id, number, payload), payload)
            number += 1
        self._write(buffers, sum(map(len, buffers)))

    def took(self, n_bytes: int) -> None:
        """A body that lies in a file of its own takes room too; below 0: it is given back."""
        self._waiting += n_bytes

    def owe(self, entry: Entry, end: bytes) -> None:
        """Write this end later: without one the call would be open while this process lives."""
        self._owed.append((entry, end))

    async def synced(self) -> None:
        """Returns when all that was written so far is on the disk. Calls at once share a sync."""
        goal = self._written
        while self._synced < goal:
            if self._syncing is None:
                reached, descriptors = self._written, [*self._to_sync, self._fd]
                self._to_sync = []
                sync = asyncio.get_running_loop().run_in_executor(None, _sync, descriptors)
                self._syncing = asyncio.ensure_future(self._finish_sync(sync, reached, descriptors))
            await asyncio.shield(self._syncing)

    async def _finish_sync(
        self, sync: asyncio.Future[None], reached: int, descriptors: list[int]
    ) -> None:
        try:
            await sync
            self._synced = reached
        finally:
            self._syncing = None
            for descriptor in descriptors[:-1]:
                os.close(descriptor)

    # --- the recorder's doorbell ---

    def ring_soon(self) -> None:
        if self._ring is None:
            loop = asyncio.get_running_loop()
            self._ring = loop.call_later(RING_AFTER_S, self._ring_now)

    def _ring_now(self) -> None:
        self._ring = None
        ring(self.folder.doorbell)

    # --- segments ---

    def tidy(self) -> None:
        """To be called now and then: write what is owed, and begin a new segment if this one is old
        and not empty. Raises SpoolError."""
        while self._owed:
            entry, end = self._owed[0]
            entry.write((Kind.END, end))
            del self._owed[0]
            self.ring_soon()
        if self._size > frames.HEADER.size + 2 and time.monotonic() - self._opened > SEGMENT_AGE_S:
            self._next_segment()
            self.ring_soon()

    def close(self) -> None:
        if self._ring is not None:
            self._ring.cancel()
        if self.fsync:
            _sync([*self._to_sync, self._fd])
        for descriptor in [*self._to_sync, self._fd]:
            os.close(descriptor)
        self._to_sync, self._fd = [], -1
        ring(self.folder.doorbell)

    def _next_segment(self) -> None:
        """A segment is visible only once its lock is held: a free one belongs to no one alive."""
        self._number += 1
        path = self.folder.segment_path(self.id, self._number)
        unnamed = path.with_suffix(".new")
        header = frames.segment_header()
        descriptor = -1
        try:
            descriptor = os.open(
                unnamed, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            try_lock(descriptor)
            if os.write(descriptor, header) != len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.rename(unnamed, path)
            if self.fsync:
                _sync_folder(self.folder.path)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
                unnamed.unlink(missing_ok=True)
            raise SpoolError(f"the spool {self.folder.path} cannot be written: {error}") from error
        if self._fd >= 0:
            if self.fsync:
                self._to_sync.append(self._fd)
            else:
                os.close(self._fd)
        self._fd, self._size, self._opened = descriptor, len(header), time.monotonic()
        self._cut = False

    def _write(self, buffers: Sequence[bytes], total: int) -> None:
        try:
            written = os.writev(self._fd, buffers)
            if written != total:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            self._cut = True
            self._room, self._measured = False, time.monotonic()
            raise SpoolError(f"the spool {self.folder.path} cannot be written: {error}") from error
        self._size += total
        self._waiting += total
        self._written += total


class Entry:
    """One call's place in the spool. Times are taken here: nanoseconds since it began."""

    __slots__ = ("_action_id", "_number", "_started", "_writer", "ended")

    def __init__(self, writer: Writer, action_id: bytes, started: int) -> None:
        self._writer = writer
        self._action_id = action_id
        self._started = started
        self._number = 0
        self.ended = False

    def write(self, *records: tuple[Kind, bytes]) -> None:
        number = self._number
        # Of records that did not fit, the missing numbers tell.
        self._number += len(records)
        self._writer.append(self._action_id, number, *records)

    def head(self, status: int, headers: list[tuple[str, str]]) -> None:
        now = time.monotonic_ns() - self._started
        self.write((Kind.HEAD, _encode(ResponseHead(status, headers, now))))

    def piece(self, piece: bytes) -> None:
        self.write((Kind.PIECE, _time(time.monotonic_ns() - self._started) + piece))

    def whole_response(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        outcome: Outcome = Outcome.COMPLETED,
        error: str | None = None,
        ours: bool = False,
    ) -> None:
        """Head, body and end of an answer that is all there."""
        now = time.monotonic_ns() - self._started
        self._write_last(
            (Kind.HEAD, _encode(ResponseHead(status, headers, now, ours))),
            (Kind.PIECE, _time(now) + body),
            (Kind.END, _encode(End(outcome, now, error))),
        )

    def end(self, outcome: Outcome, error: str | None = None) -> None:
        """The last record; later ones are ignored, so that every way out of a call may end it."""
        if not self.ended:
            now = time.monotonic_ns() - self._started
            self._write_last((Kind.END, _encode(End(outcome, now, error))))

    def _write_last(self, *records: tuple[Kind, bytes]) -> None:
        self.ended = True
        self._writer.running.pop(self._action_id, None)
        try:
            self.write(*records)
        except SpoolError as error:
            now = time.monotonic_ns() - self._started
            self._writer.owe(self, _encode(End(Outcome.INTERRUPTED, now, str(error))))
            raise
        self._writer.ring_soon()

    async def synced(self) -> None:
        if self._writer.fsync:
            await self._writer.synced()


def ring(doorbell: Path) -> None:
    try:
        descriptor = os.open(doorbell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no recorder is there: it looks when it comes
        return
    try:
        os.write(descriptor, b"!")
    except BlockingIOError:  # rung often enough
        pass
    finally:
        os.close(descriptor)


def _sync(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.fdatasync(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
