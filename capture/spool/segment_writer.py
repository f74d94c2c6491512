"""The segment files that one process writes: one at a time, each until it is full or old."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

from capture.spool import frames
from capture.spool.folder import Folder, SpoolError, try_lock

# A segment that gets no more calls is finished, so that it can be removed once it is recorded.
SEGMENT_AGE_S = 60.0


class SegmentWriter:
    """`begin_next` and `write` raise SpoolError when the disk fails; the segment is then as it was
    before."""

    def __init__(self, folder: Folder, writer_id: str, *, segment_bytes: int, fsync: bool) -> None:
        self._folder = folder
        self._writer_id = writer_id
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._number = 0
        self._fd = -1
        self._path = folder.path
        self._size = 0
        self._began = 0.0
        self._was_truncated = False  # a write did not fit, and was cut off the end
        self._written = 0  # bytes, in all segments
        self._synced = 0
        self._syncing: asyncio.Future[None] | None = None
        self._to_sync: list[int] = []  # finished segments that are not on the disk yet
        self.begin_next()

    @property
    def is_full(self) -> bool:
        return self._size >= self._segment_bytes

    @property
    def is_old(self) -> bool:
        """False if the segment is empty."""
        is_empty = self._size <= frames.HEADER.size + 2
        return not is_empty and time.monotonic() - self._began > SEGMENT_AGE_S

    def is_in_place(self) -> bool:
        """Returns false if somebody has deleted the segment, or moved it. Raises OSError."""
        return os.path.samestat(os.fstat(self._fd), os.stat(self._path))

    def begin_next(self) -> None:
        """The new segment becomes visible when its lock is held, so that a segment without a lock
        has no living writer."""
        self._number += 1
        path = self._folder.segment_path(self._writer_id, self._number)
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
            if self._fsync:
                _sync_folder(self._folder.path)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
                unnamed.unlink(missing_ok=True)
            raise self._error(error) from error
        if self._fd >= 0:
            if self._fsync:
                self._to_sync.append(self._fd)
            else:
                os.close(self._fd)
        self._fd, self._path = descriptor, path
        self._size, self._began = len(header), time.monotonic()
        self._was_truncated = False

    def write(self, buffers: Sequence[bytes], total: int) -> None:
        """Writes `total` bytes in one system call."""
        if self._was_truncated:
            # A reader may have seen some of what was cut off, so nothing may be written over it.
            self.begin_next()
        try:
            written = os.writev(self._fd, buffers)
            if written != total:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            self._was_truncated = True
            raise self._error(error) from error
        self._size += total
        self._written += total

    async def sync(self) -> None:
        """Returns when all that was written so far is on the disk. Calls that wait at the same time
        share a sync."""
        goal = self._written
        while self._synced < goal:
            if self._syncing is None:
                reached, descriptors = self._written, [*self._to_sync, self._fd]
                self._to_sync = []
                sync = asyncio.get_running_loop().run_in_executor(None, _sync, descriptors)
                self._syncing = asyncio.ensure_future(self._finish_sync(sync, reached, descriptors))
            await asyncio.shield(self._syncing)

    def close(self) -> None:
        descriptors = [*self._to_sync, self._fd]
        if self._fsync:
            _sync(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._to_sync, self._fd = [], -1

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

    def _error(self, error: OSError) -> SpoolError:
        return SpoolError(f"the spool {self._folder.path} cannot be written: {error}")


def _sync(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.fdatasync(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
