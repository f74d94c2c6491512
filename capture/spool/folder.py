"""The spool's folder: the names of its files, and the locks that say which processes are alive."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

# The name of a segment has its writer and its number. A carried call is in a file of its own, which
# has the name of its writer too, since the call lives as long as its writer does.
SEGMENT = re.compile(r"(?P<writer>[0-9a-f]{20})-(?P<number>\d{6})\.spool")
# A requeued call was set aside, and is to be read again.
CARRIED = re.compile(r"(?P<writer>[0-9a-f]{20})-(?P<action_id>[0-9a-f]{32})\.(carried|requeued)")

COUNTED_SUFFIXES = (".spool", ".carried", ".requeued", ".body")


class SpoolError(Exception):
    """The spool cannot be used; the message is one sentence that names the path. `summary` is for
    agents, whom paths do not concern."""

    summary = "the spool cannot be written"


def new_writer(at_ns: int) -> str:
    """Returns the name of a writer that began at this time: names sort by it."""
    return f"{at_ns:016x}"[-16:] + secrets.token_hex(2)


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    writer: str
    number: int  # 0 for a carried call, so that it is read first
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

    @property
    def is_requeued(self) -> bool:
        return self.name.endswith(".requeued")


def replace_file(path: Path, data: bytes) -> None:
    """Puts a file with `data` in the place of the one at `path`: whoever reads it sees one of the
    two, whole. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    def make(self) -> None:
        """Creates the folder if there is none. Raises SpoolError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._error(error) from None

    def prepare(self) -> None:
        """Creates the folder and checks that it can be written. Raises SpoolError."""
        self.make()
        try:
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> SpoolError:
        return SpoolError(f"the spool folder {self.path} cannot be written: {error}")

    def segments(self) -> list[SegmentName]:
        """Returns all segments and carried calls, in the order in which they were begun."""
        with os.scandir(self.path) as entries:
            found = ((SegmentName.parse(entry.name), entry) for entry in entries)
            return sorted(name for name, entry in found if name is not None and entry.is_file())

    def segment_path(self, writer: str, number: int) -> Path:
        return self.path / f"{writer}-{number:06}.spool"

    def carried_path(self, writer: str, action_id: bytes) -> Path:
        return self.path / f"{writer}-{action_id.hex()}.carried"

    def body_path(self, action_id: UUID) -> Path:
        return self.path / f"{action_id.hex}.body"

    @property
    def doorbell(self) -> Path:
        return self.path / "doorbell"

    def ring_doorbell(self) -> None:
        """Wakes the recorder, if it is running."""
        try:
            descriptor = os.open(self.doorbell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # no recorder is running: it reads the spool when it starts
            return
        try:
            os.write(descriptor, b"!")
        except BlockingIOError:  # it has been rung often enough
            pass
        finally:
            os.close(descriptor)

    @property
    def quarantine(self) -> Path:
        return self.path / "quarantine"

    @property
    def recorder_state(self) -> Path:
        return self.path / "recorder.json"

    @property
    def attempts(self) -> Path:
        """Where the recorder notes what it is about to record: capture.recorder.attempts."""
        return self.path / "attempts"

    def ask_to_stop(self) -> None:
        """Notes that the recorder is asked to end, however it ends then: its death is no call's
        fault."""
        with contextlib.suppress(OSError):  # the disk is full
            (self.path / "stop-asked").touch(0o600)

    def take_stop_asked(self) -> bool:
        """Returns whether the last recorder was asked to end, and forgets it."""
        try:
            (self.path / "stop-asked").unlink()
        except OSError:
            return False
        return True

    def mark_recorded(self, at_ns: int) -> None:
        """Notes that all calls that ended before `at_ns` are in the ledger. The file's time says
        when, by the monotonic clock: it counts from the start of the machine, for all processes,
        and nobody sets it."""
        _mark(self.path / "recorded", at_ns)

    def mark_progress(self) -> None:
        """Notes that calls were recorded just now, by the monotonic clock."""
        _mark(self.path / "progress", time.monotonic_ns())

    def progress_at(self) -> float:
        """Returns when calls were recorded last, in seconds of the monotonic clock; 0: never."""
        return _marked_at(self.path / "progress")

    def recorded_until(self) -> float:
        """Returns seconds of the monotonic clock; 0 when no recorder has run yet."""
        return _marked_at(self.path / "recorded")

    def forget_recorded(self) -> None:
        """Must be called before calls are taken: the machine may have been started again."""
        (self.path / "recorded").unlink(missing_ok=True)

    def size(self) -> int:
        """Returns the bytes of all that is not recorded yet; 0 if the folder was deleted."""
        try:
            return sum(self._sizes())
        except FileNotFoundError:
            return 0

    def _sizes(self) -> Iterator[int]:
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(COUNTED_SUFFIXES):
                    try:
                        yield entry.stat().st_size
                    except FileNotFoundError:  # recorded and removed after it was listed
                        continue

    def free(self) -> int:
        """Returns the bytes that are free on the disk."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def lock(self, name: str, *, wait_s: float = 0) -> int | None:
        """Takes the lock `name`.lock, which is held until the returned descriptor is closed; None:
        another process holds it."""
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
        """Returns true if a process holds a lock on the file `name`, as a living writer does on its
        segment."""
        try:
            descriptor = os.open(self.path / name, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
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


def _mark(file: Path, at_ns: int) -> None:
    """Gives an empty file this time."""
    try:
        os.utime(file, ns=(at_ns, at_ns))
    except FileNotFoundError:
        file.touch(0o600)
        os.utime(file, ns=(at_ns, at_ns))


def _marked_at(file: Path) -> float:
    """Returns the file's time in seconds; 0 if there is no such file."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
