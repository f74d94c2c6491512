"""The Analytics page: spend, latency and errors over time and by group."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from reports.dashboard.errors import page
from reports.dashboard.links import build_query, change_query, to_api_query
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
# The figures of each hour or day that charts show: sums, then latencies.
CHART_SUMS = ("cost_usd", "call_count", "error_count", "refused_count", "cache_savings_usd")
CHART_LATENCIES = (
    *("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
    *("ttft_p50_ms", "ttft_p95_ms", "ttft_p99_ms"),
)
# An hour or day without calls has sums of 0, but no latency.
_EMPTY_POINT: dict[str, Any] = {**dict.fromkeys(CHART_SUMS, 0), **dict.fromkeys(CHART_LATENCIES)}


@page
def analytics(request: HttpRequest) -> HttpResponse:
    given = to_api_query(request.GET)
    by = given["by"] = str(given.get("by") or "model")
    query = analytics_query(AnalyticsParameters.parse(given))
    summary = query.run()
    totals, series = analytics_totals(query, summary), list(analytics_series(summary, None))
    groups = [{**group, "name": group[BY[by]]} for group in totals["groups"]]
    context = {
        "since": totals["since"],
        "until": totals["until"],
        "interval": totals["interval"],
        "total": totals["total"],
        "error_share": _error_share(totals["total"]),
        "groups": [{**group, "error_share": _error_share(group)} for group in groups],
        "series": series,
        "chart_points": _chart_points(totals, series),
        "by": by,
        "title": TITLES[by],
        "groupings": [(TITLES[name], change_query(request, by=name), name == by) for name in BY],
        "given": given,
        "csv": build_query(given, by=by, format="csv"),
        "report": _report_query(totals, given),
        "csv_series": build_query(given, by=None, format="csv"),
    }
    return render(request, "dashboard/analytics.html", context)


def _report_query(totals: dict[str, Any], given: QueryDict) -> str:
    """Returns `?…`: the period that is shown and, if that is a filter, the agent."""
    period = {name: f"{totals[name]:%Y-%m-%dT%H:%MZ}" for name in ("since", "until")}
    agent = {name: given[name] for name in ("agent_name",) if given.get(name)}
    return f"?{urlencode({**period, **agent})}"


def _chart_points(totals: dict[str, Any], series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a point for every hour or day of the period, also for those without calls."""
    point_at = {point["start"]: point for point in series}
    is_daily = totals["interval"] == "day"
    step = timedelta(days=1) if is_daily else timedelta(hours=1)
    at: datetime = totals["since"]
    points = []
    while at < totals["until"]:
        point = {"start": at, **(point_at.get(at) or _EMPTY_POINT)}
        names = ("start", *CHART_SUMS, *CHART_LATENCIES)
        points.append({name: _json_number(point[name]) for name in names})
        at += step
        if is_daily:  # the first day may begin in the middle
            at = at.replace(hour=0)
    return points


def _error_share(figures: dict[str, Any]) -> float | None:
    calls = figures["call_count"]
    return figures["error_count"] / calls if calls else None


def _json_number(value: Any) -> float | None:
    """Returns a number for scripts; a time as seconds since 1970."""
    if isinstance(value, datetime):
        return value.timestamp()
    return None if value is None else float(value)
