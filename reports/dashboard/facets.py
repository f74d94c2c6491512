"""What calls can be narrowed by: the values that were frequent, from the rollups."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from capture.ledger.rollup_sums import CALLS, hour_of
from reports.queries.rollups import Period, added, summary

DAYS = 7
MOST_VALUES = 8
FACETS = {
    "agent": ("Agent", "agent_name"),
    "model": ("Model", "model_id"),
    "environment": ("Environment", "environment"),
    "app": ("Application", "app_id"),
    "provider": ("Provider", "provider"),
}


def facets_of(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the last seven days, or of the time that is asked for."""
    until: datetime = asked.get("until", now())
    since: datetime = asked.get("since", until - timedelta(days=DAYS))
    begin, end = hour_of(since), hour_of(until) + 1
    period = Period(begin, max(end, begin + 1), by_day=True, is_to_now="until" not in asked)
    return [
        {"name": name, "title": title, "values": values}
        for name, (title, column) in FACETS.items()
        if (values := _values(period, column))
    ]


def _values(period: Period, column: str) -> list[dict[str, Any]]:
    groups = summary(period, column, {}, MOST_VALUES).groups
    found = [
        {"value": value, "count": added(series).counts[CALLS]}
        for value, series in groups.items()
        if value is not None
    ]
    return sorted(found, key=lambda one: -int(one["count"] or 0))
