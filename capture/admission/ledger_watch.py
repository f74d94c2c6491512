"""The one thread of a proxy process that follows what operators change: stops and tokens.

Twice a second it asks for the end of the audit log, which has an entry for each such change, and if
that has moved, the caches are read. SQLite is not even asked while nobody has written to it. What
somebody changed by SQL has no entry, and is found a few seconds later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from access.background_writer import BackgroundWriter
from access.redaction import redact_error
from capture.admission.ledger_cache import LedgerCache
from capture.ledger.changes import ChangeProbe, newest_position
from capture.models import Ledger

ASK_EVERY_S = 0.5
READ_EVERY_S = 5.0
# A start waits this long for the first reading, and then goes by the last known values.
FIRST_READING_S = 2.0


class LedgerWatch:
    def __init__(self, caches: Sequence[LedgerCache[Any]]) -> None:
        self._caches = caches
        self._probe = ChangeProbe()
        self._writer = BackgroundWriter()
        self._audit_id: int | None = None  # up to which the caches were read; None: they were not
        self._may_have_changed = True  # since the caches were read
        self._read_at = 0.0  # monotonic
        self._first_reading = threading.Event()
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="ledger-watch", daemon=True)

    def begin(self) -> None:
        """Starts the thread; returns when the caches have been read, or cannot be."""
        self._thread.start()
        self._first_reading.wait(FIRST_READING_S)

    def ask_now(self) -> None:
        self._wake.set()

    def end(self) -> None:
        self._is_ending = True
        self._wake.set()
        self._thread.join(FIRST_READING_S)

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._is_ending:
                self._update()
                self._first_reading.set()
                self._writer.write_if_due()
                self._wake.wait(ASK_EVERY_S)
                self._wake.clear()
            self._writer.write(is_last=True)
        finally:
            connection.close()

    def _update(self) -> None:
        try:
            if self._probe.may_have_changed() or self._may_have_changed:
                self._may_have_changed = True
                self._read_caches_if_due()
        except (DatabaseError, Ledger.DoesNotExist) as error:
            self._audit_id = None
            connection.close()
            reason = redact_error(error, settings.AGENTLEDGER.dsn)
            for cache in self._caches:
                cache.begin_outage(reason)

    def _read_caches_if_due(self) -> None:
        # Before the caches: a change in between is found the next time.
        audit_id = newest_position().audit_id
        at = time.monotonic()
        if audit_id == self._audit_id and at < self._read_at + READ_EVERY_S:
            return
        for cache in self._caches:
            cache.read()
            cache.end_outage()
        self._audit_id, self._read_at, self._may_have_changed = audit_id, at, False
