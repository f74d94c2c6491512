"""Drains the spool into the ledger in batches: parses calls, prices them, stores them.

A process of its own, one for each spool folder. The doorbell wakes it; while no call is under way
it sleeps until it rings. See `unavailable_database` for what it does without a database.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from django.conf import settings

from access.redaction import redact_url
from capture.exchange import Outcome
from capture.ledger import store
from capture.ledger.entry import Entry
from capture.ledger.identity import LedgerReplaced, identify
from capture.ledger.store import LedgerMemory
from capture.recorder.doorbell import Doorbell
from capture.recorder.entry_maker import EntryMaker, size_in_memory
from capture.recorder.maintenance import Purge, keep_wal_short, migrate
from capture.recorder.state_file import StateFile
from capture.recorder.unavailable_database import (
    DATABASE_RETRY_S,
    DatabaseRetry,
    StoppedWaiting,
    is_caused_by_call,
)
from capture.spool import interrupted, ownership
from capture.spool.folder import Folder
from capture.spool.reader import Reader
from capture.spool.spooled_call import SpooledCall

logger = logging.getLogger("agentledger.recorder")

MAX_CALLS = 500
MAX_BYTES = 16 * 1024 * 1024
MAX_HELD = 32 * 1024 * 1024
# Waiting a little makes batches: a transaction costs as much as some calls.
GATHER_S = 0.05
# While calls are under way their writer may die, which rings no bell.
CHECK_OPEN_CALLS_S = 1.0
TIDY_EVERY_S = 30.0
# If both want the same core, the proxy goes first: an agent waits for it.
NICENESS = 10

SpooledEntry = tuple[SpooledCall, Entry]


class Recorder:
    def __init__(self, folder: Folder, *, until_stdin_closes: bool) -> None:
        self.folder = folder
        self._memory = LedgerMemory()
        self._maker = EntryMaker()
        self._doorbell = Doorbell(folder.doorbell, until_stdin_closes=until_stdin_closes)
        self._state = StateFile(folder.recorder_state)
        self._database = DatabaseRetry(self._doorbell, self._state)
        self._purge = Purge()
        self._next_tidy = 0.0

    def run(self) -> None:
        """Records until a signal arrives or, once standard input has closed, until the spool is
        empty."""
        os.nice(NICENESS)
        self._doorbell.catch_signals()
        with contextlib.suppress(StoppedWaiting):
            self._database.run(migrate)
            while not self._drain_into_ledger():
                self._memory = LedgerMemory()
                self._doorbell.wait(DATABASE_RETRY_S)
        self._state.write("ended")

    def _drain_into_ledger(self) -> bool:
        """Returns false if the ledger was replaced meanwhile."""
        self._database.run(self._claim_spool)
        reader = Reader(self.folder, self._database.run(store.spool_positions))
        try:
            self._drain(reader)
        except LedgerReplaced as error:
            logger.warning("%s", error)
            return False
        finally:
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
        while not self._doorbell.is_stopping:
            began_ns = time.monotonic_ns()
            calls = reader.read(max_calls=MAX_CALLS, max_bytes=MAX_BYTES)
            self._record(reader, calls)
            if self._doorbell.is_stopping or (self._doorbell.is_proxy_gone and not calls):
                break
            has_more_to_purge = self._purge.step()
            if reader.is_caught_up:
                self.folder.mark_recorded(began_ns)
                self._tidy(reader)
                if not has_more_to_purge:
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
            self._doorbell.wait(CHECK_OPEN_CALLS_S if reader.has_open_calls() else None)

    def _record(self, reader: Reader, calls: Sequence[SpooledCall]) -> None:
        positions = reader.positions()
        if calls:
            self._maker.begin_batch()
            for entries, is_last in self._make_entries(reader, calls):
                if settings.AGENTLEDGER.redis_url is not None:
                    self._keep_charges(entry for _, entry in entries)
                # Positions only with the last ones: they speak for the whole batch.
                self._run_store(reader, entries, positions if is_last else {})
            keep_wal_short()
        gone = reader.release(calls)
        if gone:
            self._database.run(lambda: store.forget_segments(gone))
        self._state.write("recording", damaged=reader.n_damaged)

    # --- calls become entries ---

    def _make_entries(
        self, reader: Reader, calls: Sequence[SpooledCall]
    ) -> Iterator[tuple[list[SpooledEntry], bool]]:
        """Yields entries in groups that memory can hold, and whether a group is the last one: what
        is small in the spool may be far larger when it is decoded."""
        entries: list[SpooledEntry] = []
        size = 0
        for call in calls:
            try:
                exchange = reader.load(call, max_body=self._maker.limits.max_decoded)
                entry = self._maker.make(exchange, call.size)
                del exchange
            except OSError:  # the disk failed: this process is restarted, and reads the call again
                raise
            except Exception as error:  # whatever a call holds, the others go on
                self._quarantine(reader, call, error)
                continue
            entries.append((call, entry))
            size += size_in_memory(entry)
            del entry
            if size > MAX_HELD:
                yield entries, False
                entries, size = [], 0
        yield entries, True

    def _run_store(
        self, reader: Reader, entries: Sequence[SpooledEntry], positions: dict[str, int]
    ) -> None:
        self._database.run(lambda: self._store(reader, entries, positions))

    def _keep_charges(self, entries: Iterable[Entry]) -> None:
        """Leaves what interrupted calls cost for the next proxy: Redis holds their reservations."""
        interrupted.append(
            self.folder,
            [
                (entry.call.action_id, entry.charge_usd or Decimal(0))
                for entry in entries
                if entry.call.outcome == Outcome.INTERRUPTED
                and entry.call.request is not None
                and entry.call.request.reserved_usd is not None
            ],
        )

    # --- entries become rows ---

    def _store(
        self, reader: Reader, entries: Sequence[SpooledEntry], positions: dict[str, int]
    ) -> None:
        """Stores a batch. If the database refuses it because of a call, stores all but that one."""
        try:
            store.record(
                [entry for _, entry in entries],
                positions,
                self._memory,
                keep_binaries=settings.AGENTLEDGER.capture_binary,
            )
        except Exception as error:  # drivers raise many classes for a value that they cannot send
            if not entries or not is_caused_by_call(error):
                raise
            store.check_writable()
            if len(entries) == 1:
                self._quarantine(reader, entries[0][0], error)
                store.record([], positions, self._memory)
            else:
                middle = len(entries) // 2
                # Positions only with the second half: they speak for the whole batch.
                self._store(reader, entries[:middle], {})
                self._store(reader, entries[middle:], positions)

    def _quarantine(self, reader: Reader, call: SpooledCall, error: Exception) -> None:
        """Sets the call's records aside; moved back into the spool's folder, they are read again.
        Its body's own file stays in the spool too, until the ledger's position has passed the
        call."""
        self.folder.quarantine.mkdir(mode=0o700, exist_ok=True)
        target = self.folder.quarantine / f"{call.writer}-{call.action_id.hex}.carried"
        target.write_bytes(reader.copy(call))
        body = self.folder.body_path(call.action_id)
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.link(body, self.folder.quarantine / body.name)
        self._state.n_quarantined += 1
        logger.error(
            "call %s could not be recorded; it is kept in %s",
            call.action_id,
            target,
            exc_info=error,
        )
