"""Follows the ledger for sinks, each in a thread, so that one that hangs does not delay the others.

Twice a second each asks whether there are new calls: one query, and on SQLite not even that while
nobody has written to it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from access.redaction import redact_error
from capture.ledger.changes import ChangeProbe
from capture.spool.folder import Folder
from reports.sinks import cursor
from reports.sinks.cursor import LeaseLost
from reports.sinks.sink import Companion, Sink
from reports.sinks.state import WRITE_EVERY_S, SinkState, StateFile

logger = logging.getLogger("agentledger.sinks")

POLL_EVERY_S = 0.5
REST_EVERY_S = 5.0
# A pause between two steps lets the recorder write: SQLite has one writer, and those who wait for
# it try again after 1 to 100 ms, in no order.
PAUSE_S = 0.01
RENEW_AFTER_S = cursor.LEASE.total_seconds() / 2
MAX_PAUSE_S = 30.0
# The time that a sink has to finish its step.
GRACE_S = 5.0


def follow(
    sinks: Sequence[Sink],
    folder: Folder,
    stop: threading.Event,
    companions: Sequence[Companion] = (),
) -> None:
    """Runs the sinks and their companions until `stop` is set."""
    followers = [Follower(sink, stop) for sink in sinks]
    threads = [
        threading.Thread(target=one.run, name=f"sink-{one.sink.name}", daemon=True)
        for one in followers
    ]
    threads += [
        threading.Thread(target=one.run, args=(stop,), name=one.name, daemon=True)
        for one in companions
    ]
    for thread in threads:
        thread.start()
    states = StateFile(folder)
    while not stop.wait(WRITE_EVERY_S):
        beside = {one.name: one.state() for one in companions}
        states.write([one.state for one in followers], beside)
    deadline = time.monotonic() + GRACE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class Follower:
    def __init__(self, sink: Sink, stop: threading.Event) -> None:
        self.sink = sink
        self.state = SinkState(sink.name)
        self.holder = cursor.new_holder()
        self._stop = stop
        self._is_prepared = False
        self._renew_at = 0.0  # monotonic; the lease is renewed while there are calls to take
        self._next_rest = 0.0
        self._probe = ChangeProbe()
        self._is_at_rest = False  # True: there is nothing to do until somebody writes

    def run(self) -> None:
        pause_s = POLL_EVERY_S
        while not self._stop.is_set():
            try:
                is_busy = self._step()
            except Exception as error:  # the database, the network, the sink: all may recover
                self._report(error)
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, MAX_PAUSE_S)
                continue
            if self.state.reason:
                logger.warning("%s continues", self.sink.name)
                self.state.reason = None
            pause_s = POLL_EVERY_S
            self._stop.wait(PAUSE_S if is_busy else POLL_EVERY_S)
        self._end()

    def _step(self) -> bool:
        """Takes one step. Returns whether there may be more to do."""
        if not self._probe.may_have_changed() and self._is_at_rest:
            return False
        self._is_at_rest = False
        seq, last_seq = cursor.positions(self.sink.name)
        self._update_state(seq, last_seq)
        if seq >= last_seq and self.state.state in ("following", "standby"):
            self._is_at_rest = self._rest()
            return False
        if time.monotonic() >= self._renew_at and not self._acquire():
            return False
        # Read again: the process that had the lease before may have moved the cursor.
        step = self.sink.gather(cursor.position(self.sink.name))
        if step is None:
            return False
        try:
            with transaction.atomic() if self.sink.in_transaction else nullcontext():
                self.sink.take(step.work)
                cursor.advance(self.sink.name, self.holder, step.seq)
        except LeaseLost:
            self._renew_at = 0.0
        else:
            self._renew_at = time.monotonic() + RENEW_AFTER_S
        return True

    def _acquire(self) -> bool:
        if not cursor.acquire(self.sink.name, self.holder):
            self._is_prepared = False
            self.state.state = "standby"
            return False
        self._renew_at = time.monotonic() + RENEW_AFTER_S
        self.state.state = "following"
        if not self._is_prepared:
            self.state.without = self.sink.prepare()
            self._is_prepared = True
        return True

    def _rest(self) -> bool:
        """Returns whether there is nothing more to do, now or later."""
        if self.state.state == "standby":
            return True
        if time.monotonic() < self._next_rest:
            return False
        self._next_rest = time.monotonic() + REST_EVERY_S
        return not self.sink.rest()

    def _update_state(self, seq: int, last_seq: int) -> None:
        self.state.seq, self.state.behind = seq, max(0, last_seq - seq)
        if seq >= last_seq:
            self.state.behind_since = None
        elif self.state.behind_since is None:
            self.state.behind_since = time.monotonic()

    def _report(self, error: Exception) -> None:
        self._is_prepared, self._renew_at = False, 0.0
        reason = redact_error(error, settings.AGENTLEDGER.dsn) or type(error).__name__
        if isinstance(error, DatabaseError):
            connection.close()
        if self.state.state == "starting" and self.state.reason is None:
            # The recorder is about to create the tables.
            self.state.reason = reason
            return
        if self.state.reason != reason:
            logger.warning("%s waits and will retry: %s", self.sink.name, reason, exc_info=error)
        self.state.state, self.state.reason = "waiting", reason

    def _end(self) -> None:
        try:
            if self._is_prepared:
                cursor.release(self.sink.name, self.holder)
        except DatabaseError:
            pass  # the lease expires
        connection.close()
