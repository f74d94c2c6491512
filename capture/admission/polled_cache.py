"""A cache of what calls need from the database but must not wait for: a thread reads it twice a
second.

While the database is unavailable, the last value read stays in force. It is kept in a file too, for
a process that starts in the meantime.
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
# A start waits this long for the first reading, and then goes by the last known value.
FIRST_READING_S = 2.0


class PolledCache(Generic[T]):
    """A subclass says how the value is read (`query`) and what is made of it (`apply`).

    `outage_reason` says why it cannot be read at the moment; None: it can. `__init__` applies the
    value in the file, so a subclass sets its own fields first.
    """

    def __init__(self, name: str, file: Path, type_: type[T], initial: T) -> None:
        self.outage_reason: str | None = None
        self._name = name
        self._file = file
        self._decode = msgspec.json.Decoder(type_).decode
        self._first_reading = threading.Event()
        self._wake = threading.Event()
        self._is_ending = False
        self._value = self._load(initial)
        self.apply(self._value)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def begin(self) -> None:
        """Starts the thread; returns when the value has been read, or cannot be."""
        self._thread.start()
        self._first_reading.wait(FIRST_READING_S)

    def read_now(self) -> None:
        self._wake.set()

    def end(self) -> None:
        self._is_ending = True
        self._wake.set()
        self._thread.join(FIRST_READING_S)

    # --- for subclasses ---

    def query(self) -> T:
        """Reads the value from the database, in the thread. Raises DatabaseError."""
        raise NotImplementedError

    def apply(self, value: T) -> None:
        """Puts a new value in force."""
        raise NotImplementedError

    def after_reading(self, *, is_last: bool) -> None:
        """Does other work of the thread, after each reading and before the thread ends."""

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._is_ending:
                self._read()
                self._first_reading.set()
                self.after_reading(is_last=False)
                self._wake.wait(READ_EVERY_S)
                self._wake.clear()
            self.after_reading(is_last=True)
        finally:
            connection.close()

    def _read(self) -> None:
        try:
            value = self.query()
        except DatabaseError as error:
            if self.outage_reason is None:
                reason = redact_error(error, settings.AGENTLEDGER.dsn)
                self.outage_reason = (
                    f"{self._name} cannot be read, the last known ones are in force: {reason}"
                )
                logger.warning("%s", self.outage_reason)
            connection.close()
            return
        self.outage_reason = None
        if value != self._value:
            self._value = value
            self.apply(value)
            self._save(value)

    # --- the file ---

    def _load(self, initial: T) -> T:
        try:
            return self._decode(self._file.read_bytes())
        except (OSError, ValueError):  # it does not exist yet, or is incomplete
            return initial

    def _save(self, value: T) -> None:
        unfinished = self._file.with_suffix(".new")
        try:
            unfinished.write_bytes(msgspec.json.encode(value))
            unfinished.replace(self._file)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._file, error)
