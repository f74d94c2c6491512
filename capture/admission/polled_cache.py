"""What calls ask of the database and must not wait for: read twice a second by a thread of its own.

While the database is away the last answer holds. It lies in a file too, for a process that starts
meanwhile.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from django.conf import settings
from django.db import DatabaseError, connection

from access.redaction import redact_error

T = TypeVar("T")

logger = logging.getLogger("agentledger.proxy")

READ_EVERY_S = 0.5
# A start waits so long for the first reading, then takes calls by what was known last.
FIRST_READING_S = 2.0


class LastKnown(Generic[T]):
    """`degraded` says why it cannot be read just now; None: it can. A subclass says how it is read
    and what is made of it; both come before its own `__init__` has ended."""

    def __init__(self, what: str, file: Path, type_: type[T], nothing: T) -> None:
        self.degraded: str | None = None
        self._what = what
        self._file = file
        self._decode = msgspec.json.Decoder(type_).decode
        self._first = threading.Event()
        self._now = threading.Event()
        self._ended = False
        self._known = self._kept(nothing)
        self._take(self._known)
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)

    def begin(self) -> None:
        """Returns when it has been read, or cannot be."""
        self._thread.start()
        self._first.wait(FIRST_READING_S)

    def read_now(self) -> None:
        self._now.set()

    def end(self) -> None:
        self._ended = True
        self._now.set()
        self._thread.join(FIRST_READING_S)

    # --- a subclass's ---

    def _asked(self) -> T:
        """Of the database, in the thread. Raises DatabaseError."""
        raise NotImplementedError

    def _take(self, known: T) -> None:
        """It holds from now on."""
        raise NotImplementedError

    def _beside(self, *, is_last: bool) -> None:
        """What else the thread does after each reading."""

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._ended:
                self._read()
                self._first.set()
                self._beside(is_last=False)
                self._now.wait(READ_EVERY_S)
                self._now.clear()
            self._beside(is_last=True)
        finally:
            connection.close()

    def _read(self) -> None:
        try:
            known = self._asked()
        except DatabaseError as error:
            if self.degraded is None:
                reason = redact_error(error, settings.AGENTLEDGER.dsn)
                self.degraded = (
                    f"{self._what} cannot be read, the last ones known are in force: {reason}"
                )
                logger.warning("%s", self.degraded)
            connection.close()
            return
        self.degraded = None
        if known != self._known:
            self._known = known
            self._take(known)
            self._keep(known)

    # --- the file ---

    def _kept(self, nothing: T) -> T:
        try:
            return self._decode(self._file.read_bytes())
        except (OSError, ValueError):  # none yet, or not whole
            return nothing

    def _keep(self, known: T) -> None:
        unfinished = self._file.with_suffix(".new")
        try:
            unfinished.write_bytes(msgspec.json.encode(known))
            unfinished.replace(self._file)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._file, error)
