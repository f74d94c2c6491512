"""Verifies the whole log once a week, a page at a time with pauses, beside the sinks, in the one
process of a ledger that has the lease for it. Another one goes on where it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils.timezone import now

from capture.ledger.changes import ChangeProbe
from capture.ledger.log.read import log_size
from capture.models import Ledger
from capture.recorder.unavailable_database import DATABASE_ERRORS
from reports.sinks import cursor
from reports.verification import history
from reports.verification.bodies import StoredParts
from reports.verification.walk import Walk

logger = logging.getLogger("agentledger.evidence")

NAME = "verification"
EVERY = timedelta(days=7)
ASK_EVERY_S = 30.0
SAVE_EVERY_S = 10.0
# Of each second it takes about a tenth.
REST_RATIO = 9.0
LEAST_PAUSE_S = 0.05


class Weekly:
    name = NAME

    def __init__(self) -> None:
        self._holder = cursor.new_holder()
        self._probe = ChangeProbe()
        self._last: dict[str, Any] | None = None
        self._due_at = now()

    def state(self) -> dict[str, Any]:
        """Returns what was found last; empty before that."""
        return self._last or {}

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(0 if self._last is None else ASK_EVERY_S):
            try:
                self._step(stop)
            except (*DATABASE_ERRORS, Ledger.DoesNotExist):
                connection.close()  # the recorder says so, and creates the tables if it is new
                stop.wait(ASK_EVERY_S)
            except Exception:  # it goes on with the rest next time
                logger.exception("the ledger could not be verified")
                stop.wait(ASK_EVERY_S)
        connection.close()

    def _step(self, stop: threading.Event) -> None:
        if self._probe.may_have_changed():
            self._read()
        if now() < self._due_at or not self._acquire():
            return
        self._read()
        if now() >= self._due_at and log_size() > 0:
            self._verify(stop)
            self._read()

    def _read(self) -> None:
        """Another process, or a command, may have verified it."""
        last = history.last_finished()
        self._last = history.describe(last) if last else {}
        self._due_at = last.started_at + EVERY if last else now()

    def _acquire(self) -> bool:
        return cursor.acquire(NAME, self._holder)

    def _verify(self, stop: threading.Event) -> None:
        row = history.under_way()
        walk = Walk.load(row.state) if row else None
        if row is None or walk is None:
            row, walk = history.begin()
        parts, save_at = StoredParts(), 0.0
        while not walk.is_finished:
            began = time.monotonic()
            walk.step(parts)
            if walk.is_finished or time.monotonic() >= save_at:
                if not self._acquire():
                    return  # another process goes on with what is saved
                history.save(row, walk)
                save_at = time.monotonic() + SAVE_EVERY_S
            if stop.wait(max(LEAST_PAUSE_S, REST_RATIO * (time.monotonic() - began))):
                history.save(row, walk)
                return
        if not walk.is_intact:
            logger.error("the ledger is not intact: %s", walk.findings.told[0])


def why_not_intact(state: dict[str, Any]) -> Iterator[str]:
    """Yields what /readyz says of it."""
    first = state.get("first")
    if state.get("n_findings") and first is not None:
        yield (
            f"the ledger is not intact, {state['n_findings']} differences: {first['what']}"
            " (`manage.py verify_ledger` lists them)"
        )
