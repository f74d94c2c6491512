"""The end of the ledger, and what holds there: stops in force and the figures of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from access.models import AuditChain
from capture.ledger.rollup_sums import ERRORS, REFUSED, hour_of
from capture.models import Call, Ledger, Spend, Stop
from reports.queries.call_list import WARNED
from reports.queries.rollups import Period, summary, total_of


class LedgerPosition(NamedTuple):
    """A position in the ledger: its last call, and the last entry of the audit log, which records
    what has no seq (deletions, labels, stops)."""

    seq: int
    audit_id: int

    def text(self) -> str:
        """Returns it as clients get it: `place` in the live feed's messages."""
        return f"{self.seq}.{self.audit_id}"


def newest_position() -> LedgerPosition:
    """Returns the ledger's end. A reader that saw a call has seen all calls before it, because a
    seq is assigned under a lock."""
    return LedgerPosition(
        Ledger.objects.values_list("last_seq", flat=True).get(pk=1),
        AuditChain.objects.values_list("last_id", flat=True).get(),
    )


def stops_in_force() -> list[dict[str, Any]]:
    """Returns the stops that nobody has lifted, the newest first."""
    stops = Stop.objects.in_force().order_by("-id")
    columns = ("id", "scope", "value", "reason", "who", "created_at")
    return [dict(stop) for stop in stops.values(*columns)]


def live_figures(at: datetime) -> dict[str, Any]:
    """Returns the figures of the head of the page. `calls_per_minute` counts the minute before
    `at`; `…_today…` is about its UTC day."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    calls = Call.objects.not_deleted()
    spent = Spend.objects.of_account("daily", None, day.date())
    begin = hour_of(day)
    today = total_of(summary(Period(begin, begin + 24, True, True), None, {}, 0).total).counts
    return {
        "calls_per_minute": calls.filter(timestamp__gte=at - timedelta(minutes=1)).count(),
        "cost_today_usd": spent.values_list("usd", flat=True).first() or 0,
        "errors_today": today[ERRORS],
        "refused_today": today[REFUSED],
        "warnings_today": calls.filter(WARNED, timestamp__gte=day).count(),
    }
