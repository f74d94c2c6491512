"""Follows the ledger for sinks, a thread each, so that one that hangs does not hold up the others.

New calls are seen by looking at the ledger's last number: a query of 0.1 ms, twice a second.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from access.redaction import redact_error
from capture.models import Ledger
from capture.spool.folder import Folder
from reports.sinks import cursor
from reports.sinks.cursor import LeaseLost
from reports.sinks.sink import Sink
from reports.sinks.state import TELL_EVERY_S, SinkState, tell

logger = logging.getLogger("agentledger.sinks")

LOOK_EVERY_S = 0.5
REST_EVERY_S = 5.0
# Between two steps, so that the recorder gets its turn at SQLite's one writer: SQLite's waiting
# writers look again after 1 to 100 ms, and are not served in order.
BREATH_S = 0.01
RENEW_AFTER_S = cursor.LEASE.total_seconds() / 2
LONGEST_PAUSE_S = 30.0
# How long a sink may take to end its step.
GRACE_S = 5.0


def follow(sinks: Sequence[Sink], folder: Folder, stop: threading.Event) -> None:
    """Until `stop` is set."""
    followers = [Follower(sink, stop) for sink in sinks]
    threads = [
        threading.Thread(target=one.run, name=f"sink-{one.sink.name}", daemon=True)
        for one in followers
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(TELL_EVERY_S):
        tell(folder, [one.state for one in followers])
    deadline = time.monotonic() + GRACE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class Follower:
    def __init__(self, sink: Sink, stop: threading.Event) -> None:
        self.sink = sink
        self.state = SinkState(sink.name)
        self.holder = f"{socket.gethostname()[:32]} {os.getpid()} {secrets.token_hex(4)}"
        self._stop = stop
        self._is_prepared = False
        self._renew_at = 0.0  # monotonic; while there are calls to take
        self._next_rest = 0.0

    def run(self) -> None:
        pause_s = LOOK_EVERY_S
        while not self._stop.is_set():
            try:
                busy = self._turn()
            except Exception as error:  # the database, the network, the sink: all may recover
                self._wait_for(error)
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                continue
            if self.state.reason:
                logger.warning("%s goes on", self.sink.name)
                self.state.reason = None
            pause_s = LOOK_EVERY_S
            self._stop.wait(BREATH_S if busy else LOOK_EVERY_S)
        self._end()

    def _turn(self) -> bool:
        """One step. Whether there is more to do."""
        seq, head = cursor.position(self.sink.name), _last_seq()
        self._tell_of(seq, head)
        if seq >= head and self.state.state in ("following", "standby"):
            self._rest()
            return False
        if time.monotonic() >= self._renew_at and not self._acquire():
            return False
        # Read again: who held the lease until now may have got further.
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

    def _rest(self) -> None:
        if self.state.state == "following" and time.monotonic() >= self._next_rest:
            self._next_rest = time.monotonic() + REST_EVERY_S
            self.sink.rest()

    def _tell_of(self, seq: int, head: int) -> None:
        self.state.seq, self.state.behind = seq, max(0, head - seq)
        if seq >= head:
            self.state.behind_since = None
        elif self.state.behind_since is None:
            self.state.behind_since = time.time()

    def _wait_for(self, error: Exception) -> None:
        self._is_prepared, self._renew_at = False, 0.0
        reason = redact_error(error, settings.AGENTLEDGER.dsn) or type(error).__name__
        if isinstance(error, DatabaseError):
            connection.close()
        if self.state.state == "starting" and self.state.reason is None:
            # The tables are the recorder's to make.
            self.state.reason = reason
            return
        if self.state.reason != reason:
            logger.warning("%s waits, and tries again: %s", self.sink.name, reason, exc_info=error)
        self.state.state, self.state.reason = "waiting", reason

    def _end(self) -> None:
        try:
            if self._is_prepared:
                cursor.release(self.sink.name, self.holder)
        except DatabaseError:
            pass  # it runs out
        connection.close()


def _last_seq() -> int:
    """Raises Ledger.DoesNotExist while the tables are being made."""
    return Ledger.objects.values_list("last_seq", flat=True).get(pk=1)
