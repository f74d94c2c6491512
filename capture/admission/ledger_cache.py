"""A cache of what calls need from the database but must not wait for: `ledger_watch` reads it
whenever it may have changed.

While the database is unavailable, the last value read stays in force. It is kept in a file too, for
a process that starts in the meantime.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from capture.spool.folder import replace_file

T = TypeVar("T")

logger = logging.getLogger("agentledger.proxy")


class LedgerCache(Generic[T]):
    """A subclass says how the value is read (`query`) and what is made of it (`apply`).

    `outage_reason` says why it cannot be read at the moment; None: it can. `__init__` applies the
    value in the file, so a subclass sets its own fields first.
    """

    def __init__(self, name: str, file: Path, type_: type[T], initial: T) -> None:
        self.outage_reason: str | None = None
        self._name = name
        self._file = file
        self._decode = msgspec.json.Decoder(type_).decode
        self._value = self._load(initial)
        self.apply(self._value)

    # --- for subclasses ---

    def query(self) -> T:
        """Reads the value from the database. Raises DatabaseError."""
        raise NotImplementedError

    def apply(self, value: T) -> None:
        """Puts a new value in force."""
        raise NotImplementedError

    # --- for the thread of `ledger_watch` ---

    def read(self) -> None:
        """Raises DatabaseError."""
        value = self.query()
        if value != self._value:
            self._value = value
            self.apply(value)
            self._save(value)

    def begin_outage(self, reason: str) -> None:
        if self.outage_reason is None:
            self.outage_reason = (
                f"{self._name} cannot be read, the last known ones are in force: {reason}"
            )
            logger.warning("%s", self.outage_reason)

    def end_outage(self) -> None:
        self.outage_reason = None

    # --- the file ---

    def _load(self, initial: T) -> T:
        try:
            return self._decode(self._file.read_bytes())
        except (OSError, ValueError):  # it does not exist yet, or is incomplete
            return initial

    def _save(self, value: T) -> None:
        try:
            replace_file(self._file, msgspec.json.encode(value))
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._file, error)
