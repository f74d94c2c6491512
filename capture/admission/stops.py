"""The stop switch: which stops are in force, read from the database by a thread of its own.

A call never waits for the database, and a database that is away lifts no stop: the last ones known
stay in force. They lie in the spool's folder too, for a process that starts while it is away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec
from django.db import DatabaseError, connection

from agentledger_site.conf import config, without_secrets_of
from capture.admission.decision import Refused
from capture.models import Stop

logger = logging.getLogger("agentledger.proxy")

READ_EVERY_S = 0.5
# A start waits so long for the first reading, then takes calls by the last stops known.
FIRST_READING_S = 2.0

# The field of a call that a stop of this scope is about.
FIELDS = {"session": "session_id", "agent": "agent_name", "user": "user_id"}


class InForce(msgspec.Struct, frozen=True):
    """One stop, as far as a call's refusal needs it."""

    id: int
    scope: str
    value: str
    reason: str

    def refusal(self) -> Refused:
        what = f"{self.scope} {self.value!r} is" if self.value else "all calls are"
        return Refused(
            status=403,
            code="stopped",
            message=f"{what} stopped: {self.reason}",
            retry_after_s=None,
            may_retry=False,
            facts={
                "stop": self.id,
                "scope": self.scope,
                "key": self.value or None,
                "reason": self.reason,
            },
        )


class Stops:
    """`degraded` says why the stops cannot be read just now; None: they can."""

    def __init__(self, file: Path) -> None:
        self.degraded: str | None = None
        self._file = file
        self._in_force: dict[tuple[str, str], InForce] = {}
        self._known: list[InForce] = []
        self._first = threading.Event()
        self._now = threading.Event()
        self._ended = False
        self._take(self._last_known())
        self._thread = threading.Thread(target=self._run, name="stops", daemon=True)

    def refusal(self, fields: Mapping[str, str]) -> Refused | None:
        """Of a call with these x-agentledger-* fields."""
        stops = self._in_force
        if not stops:
            return None
        found = stops.get((Stop.EVERYTHING, ""))
        for scope, name in FIELDS.items():
            found = found or stops.get((scope, fields.get(name, "")))
        return found.refusal() if found else None

    def begin(self) -> None:
        """Returns when the stops have been read, or cannot be."""
        self._thread.start()
        self._first.wait(FIRST_READING_S)

    def read_now(self) -> None:
        self._now.set()

    def end(self) -> None:
        self._ended = True
        self._now.set()
        self._thread.join(READ_EVERY_S)

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._ended:
                self._read()
                self._first.set()
                self._now.wait(READ_EVERY_S)
                self._now.clear()
        finally:
            connection.close()

    def _read(self) -> None:
        try:
            rows = Stop.objects.in_force().values_list("id", "scope", "value", "reason")
            stops = [InForce(*row) for row in rows]
        except DatabaseError as error:
            if self.degraded is None:
                reason = without_secrets_of(config().dsn, str(error))
                self.degraded = f"stops cannot be read, the last ones known are in force: {reason}"
                logger.warning("%s", self.degraded)
            connection.close()
            return
        self.degraded = None
        if stops != self._known:
            self._take(stops)
            self._keep(stops)

    def _take(self, stops: list[InForce]) -> None:
        self._known = stops
        self._in_force = {(stop.scope, stop.value): stop for stop in stops}

    # --- the file ---

    def _last_known(self) -> list[InForce]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[InForce])
        except (OSError, ValueError):  # none yet, or not whole
            return []

    def _keep(self, stops: list[InForce]) -> None:
        unfinished = self._file.with_suffix(".new")
        try:
            unfinished.write_bytes(msgspec.json.encode(stops))
            unfinished.replace(self._file)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._file, error)
