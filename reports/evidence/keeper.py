"""Makes the hourly checkpoints and brings them to the anchors, beside the sinks, in the one process
of a ledger that has the lease for it.

At rest it asks the database every five seconds, and on SQLite only if somebody has written to it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from access.redaction import redact_error
from capture.evidence.anchor_address import AnchorAddress
from capture.ledger.changes import ChangeProbe, query_row
from capture.ledger.log.read import log_size
from capture.models import Ledger
from reports.evidence import checkpoints, key
from reports.evidence.anchors.progress import Anchors, name_of
from reports.evidence.key import CannotSign
from reports.models import Anchor, Checkpoint
from reports.sinks import cursor
from reports.sinks.cursor import LeaseLost

logger = logging.getLogger("agentledger.evidence")

NAME = "checkpoints"
ASK_EVERY_S = 5.0


@dataclass(slots=True)
class KeeperState:
    """What /readyz shows of it."""

    size: int | None = None  # of the newest checkpoint
    at: str | None = None
    reason: str | None = None  # why there is no newer one
    anchors: list[dict[str, Any]] = field(default_factory=list)


class Keeper:
    name = NAME

    def __init__(self, addresses: Sequence[AnchorAddress]) -> None:
        self._anchors = Anchors(addresses)
        self._holder = cursor.new_holder()
        self._probe = ChangeProbe()
        self._state = KeeperState()
        self._made_at: float | None = None  # of the newest checkpoint; seconds since 1970
        self._size = 0  # of the log
        self._is_behind = True  # an anchor lacks the newest checkpoint

    def state(self) -> dict[str, Any]:
        return asdict(self._state)

    def run(self, stop: threading.Event) -> None:
        while True:
            try:
                self._step()
            except Exception as error:  # the database, the disk: all may recover
                self._report(error)
            if stop.wait(ASK_EVERY_S):
                break
        connection.close()

    def _step(self) -> None:
        is_at_rest = not (self._is_behind or self._state.reason or self._is_due())
        if is_at_rest and not (self._probe.may_have_changed() and self._has_grown()):
            return
        self._read()
        key.signer()  # made at the first start; whoever has another one is told so before an hour
        if self._is_due() and self._acquire():
            checkpoints.make_hourly()
            self._read()
        self._state.reason = None
        self._bring_to_anchors()

    def _is_due(self) -> bool:
        return checkpoints.is_due(self._size, self._made_at)

    def _has_grown(self) -> bool:
        """Asks in one query whether the log has new entries, or a new checkpoint."""
        seen = query_row(
            "SELECT log_size, (SELECT max(size) FROM reports_checkpoint) FROM capture_ledger"
        )
        return seen != (self._size, self._state.size)

    def _read(self) -> None:
        self._size = log_size()
        newest = Checkpoint.objects.order_by("-size").values_list("size", "at").first()
        if newest is not None:
            self._state.size, self._state.at = newest[0], newest[1].isoformat()
            self._made_at = newest[1].timestamp()

    def _bring_to_anchors(self) -> None:
        size = self._state.size
        if size is None or not self._anchors.addresses:
            self._is_behind = False
            return
        for address in self._anchors.behind(size):
            if not self._acquire():
                break
            self._anchors.advance(address, self._renew)
        rows = Anchor.objects.in_bulk([name_of(one) for one in self._anchors.addresses])
        self._state.anchors = [describe(row) for row in rows.values()]
        held = [row.size for row in rows.values()]
        self._is_behind = len(held) < len(self._anchors.addresses) or min(held) < size

    def _acquire(self) -> bool:
        return cursor.acquire(NAME, self._holder)

    def _renew(self) -> None:
        if not cursor.acquire(NAME, self._holder):
            raise LeaseLost(NAME)

    def _report(self, error: Exception) -> None:
        # The recorder says it if the database is unavailable, and creates the tables if it is new.
        if isinstance(error, DatabaseError | Ledger.DoesNotExist | LeaseLost):
            connection.close()
            return
        reason = redact_error(error, settings.AGENTLEDGER.dsn) or type(error).__name__
        if self._state.reason != reason:
            expected = isinstance(error, CannotSign)
            logger.warning(
                "no checkpoint is made: %s", reason, exc_info=None if expected else error
            )
        self._state.reason = reason


def describe(anchor: Anchor) -> dict[str, Any]:
    return {
        "name": anchor.name,
        "size": anchor.size,
        "last_success_at": _iso(anchor.last_success_at),
        "last_failure_at": _iso(anchor.last_failure_at),
        "failure": anchor.failure,
        "is_failing": anchor.is_failing,
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
