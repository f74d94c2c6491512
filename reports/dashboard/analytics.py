"""Analytics: what was spent on what, how fast answers were, how many went wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from reports.dashboard.errors import page
from reports.dashboard.links import as_api, query_of, with_parameters
from reports.queries.analytics import (
    BY,
    AnalyticsParameters,
    analytics_query,
    analytics_series,
    analytics_totals,
)

TITLES = {
    "model": "Model",
    "provider": "Provider",
    "agent": "Agent",
    "user": "User",
    "app": "Application",
    "environment": "Environment",
}
# What charts show of each hour or day.
CHARTED = (
    *("start", "cost_usd", "call_count", "error_count", "refused_count", "cache_savings_usd"),
    *("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "ttft_p50_ms", "ttft_p95_ms"),
    "ttft_p99_ms",
)
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(CHARTED),
    **dict.fromkeys(CHARTED[1:6], 0),
}


@page
def analytics(request: HttpRequest) -> HttpResponse:
    given = as_api(request.GET)
    by = given.setdefault("by", "model")
    values = AnalyticsParameters.of_query(given)
    query = analytics_query(values)
    found = query.run()
    told, series = analytics_totals(query, found), list(analytics_series(found, None))
    groups = [{**group, "name": group[BY[str(by)]]} for group in told["groups"]]
    context = {
        "told": told,
        "total": told["total"],
        "error_share": _share(told["total"]),
        "groups": [{**group, "error_share": _share(group)} for group in groups],
        "series": series,
        "charted": _charted(told, series),
        "by": by,
        "title": TITLES[str(by)],
        "bys": [(TITLES[name], with_parameters(request, by=name), name == by) for name in BY],
        "given": given,
        "csv": query_of(given, by=str(by), format="csv"),
        "csv_series": query_of(given, by=None, format="csv"),
    }
    return render(request, "dashboard/analytics.html", context)


def _charted(told: dict[str, Any], series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every hour or day of the time: without calls nothing was spent, and nothing took time."""
    found = {point["start"]: point for point in series}
    step = timedelta(days=1) if told["interval"] == "day" else timedelta(hours=1)
    at: datetime = told["since"]
    points = []
    while at < told["until"]:
        point = found.get(at) or {**_NOTHING, "start": at}
        points.append({name: _plain(point[name]) for name in CHARTED})
        at += step
        if told["interval"] == "day":  # the first may be a part of one
            at = at.replace(hour=0)
    return points


def _share(figures: dict[str, Any]) -> float | None:
    calls = figures["call_count"]
    return figures["error_count"] / calls if calls else None


def _plain(value: Any) -> Any:
    """As scripts read it."""
    if hasattr(value, "timestamp"):
        return value.timestamp()
    return None if value is None else float(value)
