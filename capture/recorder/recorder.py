"""Drains the spool into the ledger: understand, store, in batches.

A process of its own, one a spool folder. The doorbell wakes it; without calls under way it sleeps
until it rings.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from django.core.management import call_command
from django.db import (
    DataError,
    Error,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.db.migrations.executor import MigrationExecutor

from agentledger_site.conf import config, without_secrets_of
from capture.ledger import store
from capture.ledger.purge import remove_some
from capture.ledger.store import MessageMemory
from capture.models import Ledger
from capture.parsing.parse import UnderstoodCall, understand
from capture.parsing.thumbnails import Pictures
from capture.pricing import catalog
from capture.pricing.call_cost import cost_of_call
from capture.pricing.configured import configured_prices, published_file
from capture.spool import interrupted
from capture.spool.folder import Folder
from capture.spool.reader import Reader, SpooledCall

logger = logging.getLogger("agentledger.recorder")

MAX_CALLS = 500
MAX_BYTES = 16 * 1024 * 1024
# Waiting a little makes batches: a transaction costs as much as some calls.
GATHER_S = 0.05
# While calls are under way their writer may die, which rings no bell.
LOOK_AGAIN_S = 1.0
TIDY_EVERY_S = 30.0
DATABASE_RETRY_S = 1.0
# Where both want the same core, an agent is waiting for the proxy, and nobody for the recorder.
NICENESS = 10
WAL_LIMIT = 64 * 1024 * 1024

T = TypeVar("T")
Understood = tuple[SpooledCall, UnderstoodCall]
DATABASE_ERRORS = (Error, Ledger.DoesNotExist)


def is_the_calls_fault(error: Exception) -> bool:
    """Whether an error while calls were stored can be one call's: what it holds does not fit. All
    others are the database's: it is away, read-only or damaged, tables or rights are missing."""
    if isinstance(error, ProgrammingError):
        # The server has codes for what it refuses; a driver that cannot send a value has none.
        return getattr(error.__cause__, "sqlstate", None) is None
    return not isinstance(error, DATABASE_ERRORS) or isinstance(error, DataError | IntegrityError)


class Recorder:
    def __init__(self, folder: Folder, *, until_stdin_closes: bool) -> None:
        self.folder = folder
        self.memory = MessageMemory()
        self._look_up_prices()
        self.pictures = Pictures()
        self.n_quarantined = 0
        self._stop = False  # told by a signal: end after this batch
        self._drain = False  # the proxy is gone: end when the spool is empty
        self._bell = _Bell(folder.doorbell, until_stdin_closes=until_stdin_closes)
        self._state: dict[str, object] = {}
        self._next_tidy = 0.0
        self._to_cut_wal = False

    def run(self) -> None:
        os.nice(NICENESS)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end())
        self._until_it_works(migrate)
        positions = self._until_it_works(store.spool_positions)
        if positions is None:
            return
        reader = Reader(self.folder, positions)
        while not self._stop:
            began_ns = time.time_ns()
            calls = reader.read(max_calls=MAX_CALLS, max_bytes=MAX_BYTES)
            self._record(reader, calls)
            if self._stop or (self._drain and not calls):
                break
            more_to_remove = self._remove()
            if reader.caught_up:
                self.folder.mark_recorded(began_ns)
                self._tidy(reader)
                if not more_to_remove:
                    self._wait(reader, busy=bool(calls))
        self._tell("ended")

    def _end(self) -> None:
        self._stop = True

    def _look_up_prices(self) -> None:
        self._prices_mark = catalog.mark(published_file(config()))
        self.prices = configured_prices(config())

    def _tidy(self, reader: Reader) -> None:
        now = time.monotonic()
        if now >= self._next_tidy:
            reader.carry_over()
            reader.sweep()
            self._next_tidy = now + TIDY_EVERY_S

    def _wait(self, reader: Reader, *, busy: bool) -> None:
        if self._drain:
            return
        if busy:
            time.sleep(GATHER_S)
        else:
            self._drain |= self._bell.wait(LOOK_AGAIN_S if reader.has_open_calls() else None)

    # --- removing ---

    def _remove(self) -> bool:
        """One step of removing what was deleted. Whether there is more to do at once: what cannot
        be done now is tried again when there is work."""
        try:
            removed = remove_some()
        except DATABASE_ERRORS as error:
            connection.close()
            logger.warning("what was deleted could not be removed yet: %s", error)
            return False
        if removed:
            self._to_cut_wal = True
        elif self._to_cut_wal:  # the log has the pages as they were
            self._to_cut_wal = False
            _cut_wal()
        return removed

    # --- recording ---

    def _record(self, reader: Reader, calls: list[SpooledCall]) -> None:
        if calls and catalog.mark(published_file(config())) != self._prices_mark:
            self._look_up_prices()
        understood: list[Understood] = []
        for call in calls:
            try:
                understood.append((call, self._understood(call, reader)))
            except OSError:  # the disk's fault: this process is started again, and reads it again
                raise
            except Exception as error:  # whatever a call holds, the others go on
                self._quarantine(reader, call, error)
        positions = reader.positions()
        if calls:
            if config().redis_url is not None:
                interrupted.leave_word(self.folder, (call for _, call in understood))
            if self._until_it_works(lambda: self._store(reader, understood, positions)) is None:
                return
            _keep_wal_short()
        gone = reader.release(calls)
        if gone and not self._until_it_works(lambda: store.forget_segments(gone)):
            return
        self._tell("recording", damaged=reader.n_damaged)

    def _understood(self, call: SpooledCall, reader: Reader) -> UnderstoodCall:
        understood = understand(reader.load(call), keep_binaries=config().capture_binary)
        understood.cost = cost_of_call(self.prices, understood)
        if understood.binaries:  # outside the transaction: a large image takes its time
            understood.pictures = self.pictures.of(understood.binaries.values())
        return understood

    def _store(self, reader: Reader, calls: list[Understood], positions: dict[str, int]) -> bool:
        """Store a batch; of one that the database refuses, all calls but the one at fault."""
        try:
            store.record(
                [understood for _, understood in calls],
                positions,
                self.memory,
                keep_binaries=config().capture_binary,
            )
        except Exception as error:
            if not calls or not is_the_calls_fault(error):
                raise
            store.check_writable()
            if len(calls) == 1:
                self._quarantine(reader, calls[0][0], error)
                store.record([], positions, self.memory)
            else:
                middle = len(calls) // 2
                # Positions only with the second half: they speak for the whole batch.
                self._store(reader, calls[:middle], {})
                self._store(reader, calls[middle:], positions)
        return True

    def _quarantine(self, reader: Reader, call: SpooledCall, error: Exception) -> None:
        """Keep the call's records: moved back into the spool's folder, they are read again. The
        body's own file stays as well, until the ledger's place in the spool is behind the call."""
        self.folder.quarantine.mkdir(mode=0o700, exist_ok=True)
        target = self.folder.quarantine / f"{call.writer}-{call.action_id.hex}.carried"
        target.write_bytes(reader.copy(call))
        body = self.folder.body_path(call.action_id)
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.link(body, self.folder.quarantine / body.name)
        self.n_quarantined += 1
        logger.error(
            "call %s could not be recorded; it is kept in %s",
            call.action_id,
            target,
            exc_info=error,
        )

    # --- the database, which may be away ---

    def _until_it_works(self, work: Callable[[], T]) -> T | None:
        """None when told to end before it worked. While draining, an absent database is not waited
        for: what is in the spool is recorded at the next start."""
        while True:
            try:
                return work()
            except DATABASE_ERRORS as error:
                reason = without_secrets_of(config().dsn, str(error))
                if self._state.get("state") != "waiting":
                    logger.warning("the database takes no calls, they wait: %s", reason)
                self._tell("waiting", reason=reason)
                connection.close()
                if self._drain:
                    self._stop = True
                if self._stop:
                    return None
                self._drain |= self._bell.wait(DATABASE_RETRY_S)

    def _tell(self, state: str, **facts: object) -> None:
        """What /readyz says of the recorder; written when it changes."""
        told: dict[str, object] = {"state": state, "quarantined": self.n_quarantined, **facts}
        if told == self._state:
            return
        if self._state.get("state") == "waiting" and state == "recording":
            logger.warning("the database takes calls again")
        self._state = told
        target = self.folder.recorder_state
        unnamed = target.with_suffix(".new")
        unnamed.write_text(json.dumps({**told, "pid": os.getpid(), "since": time.time()}))
        unnamed.rename(target)


def migrate() -> bool:
    """Bring the database's tables up to date."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
    return True


def _keep_wal_short() -> None:
    """SQLite's log only grows while someone reads; cut it when nobody does."""
    if connection.vendor != "sqlite":
        return
    try:
        size = os.stat(f"{connection.settings_dict['NAME']}-wal").st_size
    except FileNotFoundError:
        return
    if size > WAL_LIMIT:
        _cut_wal()


def _cut_wal() -> None:
    """Held by a reader it stays as it is, until the next time."""
    if connection.vendor == "sqlite":
        with contextlib.suppress(OperationalError), connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Bell:
    """Waits for the doorbell, for standard input to close, or for a signal."""

    def __init__(self, doorbell: Path, *, until_stdin_closes: bool) -> None:
        if not doorbell.exists():
            os.mkfifo(doorbell, 0o600)
        self._fd = os.open(doorbell, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # With a writer of our own the FIFO never reports that its last writer is gone.
        self._writer = os.open(doorbell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._fd, selectors.EVENT_READ)
        self._selector.register(woken, selectors.EVENT_READ)
        self._stdin = sys.stdin.fileno() if until_stdin_closes else None
        if self._stdin is not None:
            fcntl.fcntl(self._stdin, fcntl.F_SETFL, os.O_NONBLOCK)
            self._selector.register(self._stdin, selectors.EVENT_READ)

    def wait(self, timeout_s: float | None) -> bool:
        """Whether standard input has closed."""
        closed = False
        for key, _ in self._selector.select(timeout_s):
            data = os.read(key.fd, 65536)
            if key.fd == self._stdin and not data:
                self._selector.unregister(key.fd)
                closed = True
        return closed
