"""The spool's folder: its files by name, and the locks that say who is at work."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

# A segment: who wrote it, and which of its segments it is. A carried call lies in a file of its
# own that bears its writer's name, since it lives as long as its writer does.
SEGMENT = re.compile(r"(?P<writer>[0-9a-f]{20})-(?P<number>\d{6})\.spool")
CARRIED = re.compile(r"(?P<writer>[0-9a-f]{20})-(?P<action_id>[0-9a-f]{32})\.carried")

COUNTED_SUFFIXES = (".spool", ".carried", ".body")


class SpoolError(Exception):
    """The spool cannot do what it is there for: one sentence, with the path."""


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    writer: str
    number: int  # carried calls come first: 0
    name: str

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        if match := SEGMENT.fullmatch(name):
            return cls(match["writer"], int(match["number"]), name)
        if match := CARRIED.fullmatch(name):
            return cls(match["writer"], 0, name)
        return None

    @property
    def is_carried(self) -> bool:
        return self.number == 0


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    def prepare(self) -> None:
        """Make the folder and see that it can be written. Raises SpoolError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise SpoolError(f"the spool folder {self.path} cannot be written: {error}") from None

    def segments(self) -> list[SegmentName]:
        """All segments and carried calls, in the order in which they were begun."""
        names = (SegmentName.parse(name) for name in os.listdir(self.path))
        return sorted(name for name in names if name is not None)

    def segment_path(self, writer: str, number: int) -> Path:
        return self.path / f"{writer}-{number:06}.spool"

    def carried_path(self, writer: str, action_id: bytes) -> Path:
        return self.path / f"{writer}-{action_id.hex()}.carried"

    def body_path(self, action_id: UUID) -> Path:
        return self.path / f"{action_id.hex}.body"

    @property
    def doorbell(self) -> Path:
        return self.path / "doorbell"

    @property
    def quarantine(self) -> Path:
        return self.path / "quarantine"

    @property
    def recorder_state(self) -> Path:
        return self.path / "recorder.json"

    def mark_recorded(self, at_ns: int) -> None:
        """All calls that ended before `at_ns` (since 1970) are in the ledger."""
        mark = self.path / "recorded"
        try:
            os.utime(mark, ns=(at_ns, at_ns))
        except FileNotFoundError:
            mark.touch(0o600)
            os.utime(mark, ns=(at_ns, at_ns))

    def recorded_until(self) -> float:
        """Seconds since 1970; 0 when there has been no recorder."""
        try:
            return (self.path / "recorded").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def size(self) -> int:
        """Bytes of all that waits to be recorded."""
        return sum(self._sizes())

    def _sizes(self) -> Iterator[int]:
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(COUNTED_SUFFIXES):
                    try:
                        yield entry.stat().st_size
                    except FileNotFoundError:  # recorded, and removed, since it was listed
                        continue

    def free(self) -> int:
        """Bytes that are free on the disk."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def lock(self, name: str, *, wait_s: float = 0) -> int | None:
        """Hold `name`.lock until the descriptor is closed; None if another process does."""
        descriptor = os.open(
            self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        deadline = time.monotonic() + wait_s
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.05)
        return descriptor

    def is_locked(self, name: str) -> bool:
        """Whether a process holds the lock of the file `name` (a segment's writer is alive)."""
        try:
            descriptor = os.open(self.path / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
