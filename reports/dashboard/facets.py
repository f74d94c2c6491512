"""Filters to choose from: the most frequent values of some columns, read from the rollups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.timezone import now

from capture.ledger.rollup_sums import CALLS, hour_of
from reports.queries.analytics import MAX_DAYS
from reports.queries.rollups import Period, summary, total_of

DAYS = 7
MAX_VALUES = 8
FACETS = {
    "agent": ("Agent", "agent_name"),
    "model": ("Model", "model_id"),
    "environment": ("Environment", "environment"),
    "app": ("Application", "app_id"),
    "provider": ("Provider", "provider"),
}


def read_facets(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Reads the values of the last seven days, or of the period that the parameters give: of its
    last `MAX_DAYS`, if it is longer."""
    period = _period(parameters)
    return [
        {"name": name, "title": title, "values": values}
        for name, (title, column) in FACETS.items()
        if (values := _values(period, column))
    ]


def _period(parameters: dict[str, Any]) -> Period:
    until: datetime = min(parameters.get("until", now()), now())
    end = max(hour_of(until), 0) + 1
    begin = hour_of(parameters["since"]) if "since" in parameters else end - 24 * DAYS
    begin = min(max(begin, end - 24 * MAX_DAYS["day"], 0), end - 1)
    return Period(begin, end, by_day=True, is_to_now="until" not in parameters)


def _values(period: Period, column: str) -> list[dict[str, Any]]:
    groups = summary(period, column, {}, MAX_VALUES).groups
    found = [
        {"value": value, "count": total_of(series).counts[CALLS]}
        for value, series in groups.items()
        if value is not None
    ]
    return sorted(found, key=lambda one: -int(one["count"] or 0))
