"""A note beside the spool of the calls that the recorder is about to record, so that after its
death the next one knows which call may have been the reason.

It is written once a batch, by one system call, and never synchronized: what a process has written
survives its death. Only a power cut loses it, after which the calls are recorded as any others.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson

from capture.spool.folder import Folder

logger = logging.getLogger("agentledger.recorder")

# A call that was alone in so many attempts that ended in the recorder's death is set aside.
MAX_FAILURES = 2
# The note fits, so that it can be written while the disk is full.
RESERVED = 64 * 1024


class Attempts:
    """`suspects` may have killed the recorder: they are recorded one at a time, apart from it."""

    def __init__(self, folder: Folder) -> None:
        self._fd = os.open(folder.attempts, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # the disk is full, or knows no reservations
            os.posix_fallocate(self._fd, 0, RESERVED)
        noted = self._read()
        self.suspects = _ids(noted.get("suspects", ()))
        failures: dict[str, int] = noted.get("failures", {})
        self._failures = {UUID(call): n for call, n in failures.items()}
        batch = _ids(noted.get("batch", ()))
        was_asked_to_stop = folder.take_stop_asked()
        if batch and not was_asked_to_stop:
            self.suspects |= batch
            if noted.get("is_alone"):
                self.fail(*batch)
            logger.warning(
                "the recorder died while it recorded %d calls: they are tried one at a time",
                len(batch),
            )
        # Each death counts once, and is not forgotten if the next one comes early.
        self.begin((), is_alone=False)

    def begin(self, calls: Sequence[UUID], *, is_alone: bool) -> None:
        """Notes that these calls are recorded from now on. `is_alone`: one call, whose failure is
        nobody else's."""
        note = {
            "batch": [call.hex for call in calls],
            "is_alone": is_alone,
            "suspects": [call.hex for call in self.suspects],
            "failures": {call.hex: n for call, n in self._failures.items()},
        }
        # What is left of a longer note follows the end of the line.
        with contextlib.suppress(OSError):  # the disk is full or fails: calls are recorded even so
            os.pwrite(self._fd, orjson.dumps(note) + b"\n", 0)

    def forget(self, call: UUID) -> None:
        """Forgets what is known of a call that was recorded."""
        self.suspects.discard(call)
        self._failures.pop(call, None)

    def forget_all(self) -> None:
        """Forgets the suspects, when there is nothing to record."""
        if self.suspects or self._failures:
            self.suspects.clear()
            self._failures.clear()
            self.begin((), is_alone=False)

    def close(self) -> None:
        """Notes that the recorder ends, as it should."""
        self.begin((), is_alone=False)
        os.close(self._fd)

    def under_way(self) -> UUID | None:
        """Returns the call that a process of ours noted last."""
        return next(iter(_ids(self._read().get("batch", ()))), None)

    def fail(self, *calls: UUID, n_times: int = 1) -> None:
        for call in calls:
            self._failures[call] = self._failures.get(call, 0) + n_times

    def has_failed(self, call: UUID) -> bool:
        """Returns whether it is not tried again."""
        return self._failures.get(call, 0) >= MAX_FAILURES

    def _read(self) -> dict[str, Any]:
        line = os.pread(self._fd, 16 * RESERVED, 0).partition(b"\n")[0]
        try:
            noted: dict[str, Any] = orjson.loads(line)
        except ValueError:  # there is none yet
            return {}
        return noted


def _ids(texts: Iterable[str]) -> set[UUID]:
    return {UUID(text) for text in texts}
