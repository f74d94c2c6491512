"""What holds at the end of the ledger: stops in force and the figures of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from capture.ledger.rollup_sums import ERRORS, REFUSED, hour_of
from capture.models import Call, Spend, Stop
from reports.queries.call_list import WARNED
from reports.queries.rollups import Period, summary, total_of


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
