"""Drains the spool into the ledger in batches: parses calls, prices them, stores them.

A process of its own, one for each spool folder. The doorbell wakes it; while no call is under way
it sleeps until it rings. See `unavailable_database` for what it does without a database, and
`recording` for what it does with calls that it may not survive.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from functools import partial

from django.conf import settings
from django.db import connection

from access import garbage_collection
from access.redaction import redact_url
from capture.ledger import store
from capture.ledger.identity import LedgerReplaced, identify
from capture.ledger.store import LedgerMemory
from capture.recorder.attempts import Attempts
from capture.recorder.doorbell import Doorbell
from capture.recorder.entry_maker import EntryMaker
from capture.recorder.maintenance import AuditTrail, Purge, keep_wal_short, migrate
from capture.recorder.recording import Recording
from capture.recorder.state_file import StateFile
from capture.recorder.unavailable_database import DatabaseRetry, StoppedWaiting
from capture.spool import ownership
from capture.spool.folder import Folder
from capture.spool.reader import Reader

logger = logging.getLogger("agentledger.recorder")

MAX_CALLS = 500
MAX_BYTES = 16 * 1024 * 1024
# Waiting a little makes batches: a transaction costs as much as some calls.
GATHER_S = 0.05
# PostgreSQL may get entries of the audit log from machines that cannot ring the doorbell here.
CHECK_AUDIT_S = 1.0
# While calls are under way their writer may die, which rings no bell.
CHECK_OPEN_CALLS_S = 1.0
TIDY_EVERY_S = 30.0
# After the ledger was replaced, or the disk has failed.
READ_AGAIN_AFTER_S = 1.0
# If both want the same core, the proxy goes first: an agent waits for it.
NICENESS = 10


class Recorder:
    def __init__(self, folder: Folder, *, until_stdin_closes: bool) -> None:
        self.folder = folder
        self._memory = LedgerMemory()
        self._maker = EntryMaker()
        self._doorbell = Doorbell(folder, until_stdin_closes=until_stdin_closes)
        self._state = StateFile(folder.recorder_state)
        self._database = DatabaseRetry(self._doorbell, self._state)
        self._attempts = Attempts(folder)
        self._purge = Purge(folder)
        self._audit = AuditTrail()
        self._next_tidy = 0.0

    def run(self) -> None:
        """Records until a signal arrives or, once standard input has closed, until the spool is
        empty."""
        os.nice(NICENESS)
        garbage_collection.collect_seldom()
        self._doorbell.catch_signals()
        with contextlib.suppress(StoppedWaiting):
            self._database.run(migrate)
            while not self._drain_into_ledger():
                self._memory = LedgerMemory()
                self._doorbell.wait(READ_AGAIN_AFTER_S)
        self._attempts.close()
        self._state.write("ended")

    def _drain_into_ledger(self) -> bool:
        """Returns false if the ledger was replaced meanwhile, or the spool's disk fails: what is
        not recorded must be read again."""
        reader: Reader | None = None
        try:
            self._database.run(self._claim_spool)
            reader = Reader(self.folder, self._database.run(store.spool_positions))
            self._drain(reader)
        except LedgerReplaced as error:
            logger.warning("%s", error)
            return False
        except OSError as error:
            logger.warning("the spool's disk fails, calls wait: %s", error)
            self._state.write("stuck", reason=str(error))
            return self._doorbell.is_stopping or self._doorbell.is_proxy_gone
        finally:
            if reader is not None:
                reader.close()
        return True

    def _claim_spool(self) -> None:
        ledger = identify()
        url = redact_url(settings.AGENTLEDGER.database_url)
        n_left = ownership.claim(self.folder, ledger.id, url, is_unused=ledger.is_unused)
        if n_left:
            logger.warning(
                "%d segments in %s hold calls of another ledger and are left alone: they are"
                " recorded when AgentLedger runs with its database again. To record them in this"
                " one, stop AgentLedger and delete %s; to keep the two apart, set"
                " AGENTLEDGER_SPOOL_DIR",
                n_left,
                self.folder.path,
                ownership.file_of(self.folder),
            )

    def _drain(self, reader: Reader) -> None:
        recording = Recording(
            reader,
            self._maker,
            self._attempts,
            self._database,
            self._memory,
            is_stopping=lambda: self._doorbell.is_stopping,
        )
        while not self._doorbell.is_stopping:
            began_ns = time.monotonic_ns()
            calls = reader.read(max_calls=MAX_CALLS, max_bytes=MAX_BYTES)
            if calls:
                recording.record(calls)
                keep_wal_short()
                self.folder.mark_progress()
            gone = reader.release(calls)
            if gone:
                self._database.run(partial(store.forget_segments, gone))
            self._state.write("recording", damaged=reader.n_damaged, left_alone=reader.n_left_alone)
            if self._doorbell.is_stopping or (self._doorbell.is_proxy_gone and not calls):
                break
            has_more = self._audit.step() | self._purge.step()
            if reader.is_caught_up:
                self._attempts.forget_all()
                self.folder.mark_recorded(began_ns)
                self._tidy(reader)
                if not has_more:
                    self._wait(reader, is_busy=bool(calls))

    def _tidy(self, reader: Reader) -> None:
        now = time.monotonic()
        if now >= self._next_tidy:
            reader.carry_over()
            reader.sweep()
            self._next_tidy = now + TIDY_EVERY_S

    def _wait(self, reader: Reader, *, is_busy: bool) -> None:
        if self._doorbell.is_proxy_gone:
            return
        if is_busy:
            time.sleep(GATHER_S)
        else:
            has_open_calls = reader.has_open_calls()
            at_rest_s = None if connection.vendor == "sqlite" else CHECK_AUDIT_S
            self._doorbell.wait(CHECK_OPEN_CALLS_S if has_open_calls else at_rest_s)
