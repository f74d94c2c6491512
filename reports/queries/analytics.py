"""Spend, calls, tokens, errors and durations over time, from the rollups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any

from django.utils.timezone import now
from rest_framework.exceptions import ValidationError

from capture.ledger.histogram import percentiles
from capture.ledger.rollup_sums import ALL_NAMES, COUNTS, HISTOGRAMS, hour_of, hour_start, to_usd
from reports.queries.parameters import (
    ChoiceParameter,
    NumberParameter,
    Parameters,
    TextParameter,
    TimeParameter,
)
from reports.queries.rollups import Filters, Name, Period, Series, Summary, Total, summary, total_of

BY = {
    "model": "model_id",
    "provider": "provider",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "environment": "environment",
}
INTERVALS = ("hour", "day")
MAX_DAYS = {"hour": 31, "day": 1100}
# Without `interval`, a period up to this length is divided into hours.
HOURLY_UP_TO = timedelta(days=2)
DEFAULT_DAYS = {"hour": 1, "day": 30}
DEFAULT_GROUPS, MAX_GROUPS = 10, 100
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

PERCENTILES = {name: [f"{name}_{percentile}_ms" for percentile in SHARES] for name in HISTOGRAMS}
COLUMNS = (
    *("call_count", "error_count", "refused_count", "tokens_in", "tokens_out"),
    *("tokens_cache_read", "tokens_cache_write", "tokens_reasoning", "cache_share"),
    *("cost_usd", "cost_unknown_calls", "cache_savings_usd"),
    *chain.from_iterable(PERCENTILES.values()),
)
Figures = dict[str, Any]


class AnalyticsParameters(Parameters):
    by = ChoiceParameter(
        tuple(BY), help_text="one series for each value of this field, most expensive first"
    )
    interval = ChoiceParameter(
        INTERVALS, help_text="default: hour for a period of at most two days, else day"
    )
    since = TimeParameter(help_text="start of the period, rounded down to the hour")
    until = TimeParameter(help_text="end of the period, rounded up to the hour")
    model_id = TextParameter(help_text="only calls of this model")
    provider = TextParameter(help_text="only calls to this provider")
    agent_name = TextParameter(help_text="only calls of this agent")
    app_id = TextParameter(help_text="only calls of this application")
    environment = TextParameter(help_text="only calls in this environment")
    user_id = TextParameter(
        help_text="only calls for this user; not with other filters or another `by`"
    )
    limit = NumberParameter(
        lowest=1,
        highest=MAX_GROUPS,
        default=DEFAULT_GROUPS,
        help_text="maximum number of groups; all others form one group",
    )


@dataclass(frozen=True, slots=True)
class AnalyticsQuery:
    by: str | None  # a key of `BY`; None: no groups
    filters: Filters
    interval: str
    period: Period
    limit: int

    @property
    def column(self) -> str | None:
        """The column whose values make the groups; None: no groups."""
        return None if self.by is None else BY[self.by]

    def run(self) -> Summary:
        return summary(self.period, self.column, self.filters, self.limit)


def analytics_query(parameters: Mapping[str, Any]) -> AnalyticsQuery:
    """Takes the values of AnalyticsParameters. Raises ValidationError."""
    by = parameters.get("by")
    filters = {name: parameters[name] for name in ALL_NAMES if name in parameters}
    names = {*filters, None if by is None else BY[by]} - {None}
    if "user_id" in names and len(names) > 1:
        error = "users have separate sums: not with other filters or another `by`"
        raise ValidationError({"user_id" if "user_id" in filters else "by": [error]})
    interval, period = _interval_and_period(parameters)
    return AnalyticsQuery(by, filters, interval, period, parameters["limit"])


def _interval_and_period(parameters: Mapping[str, Any]) -> tuple[str, Period]:
    interval: str | None = parameters.get("interval")
    at = now()
    since, until = _time(parameters, "since"), _time(parameters, "until")
    end = hour_of((until or at) + timedelta(hours=1) - timedelta(microseconds=1))
    if interval is None:
        is_short = since is not None and hour_start(end) - since <= HOURLY_UP_TO
        interval = "hour" if is_short else "day"
    if since is not None:
        begin = hour_of(since)
    else:
        begin = max(0, end - 24 * DEFAULT_DAYS[interval])
        if interval == "day":
            begin = -(-begin // 24) * 24
    if begin >= end:
        raise ValidationError({"since": ["a time before `until`"]})
    if end - begin > 24 * MAX_DAYS[interval]:
        error = f"at most {MAX_DAYS[interval]} days before `until` if `interval` is {interval}"
        raise ValidationError({"since": [error]})
    return interval, Period(begin, end, interval == "day", end > hour_of(at))


def _time(parameters: Mapping[str, Any], name: str) -> datetime | None:
    time: datetime | None = parameters.get(name)
    if time is not None and not 1970 <= time.year < 2089:
        raise ValidationError({name: [f"{TimeParameter.accepted}, from 1970 to 2088"]})
    return time


def analytics_totals(query: AnalyticsQuery, found: Summary) -> dict[str, Any]:
    """Returns the sums of the whole period, and with `by` those of each group."""
    totals = {
        "since": hour_start(query.period.begin),
        "until": hour_start(query.period.end),
        "interval": query.interval,
        "by": query.by,
        "total": _figures(total_of(found.total)),
    }
    if query.column is not None:
        totals["groups"] = [
            {**names, **_figures(total_of(series))}
            for names, series in _groups(found, query.column)
        ]
    return totals


def analytics_series(found: Summary, column: str | None) -> Iterator[Figures]:
    """Yields the figures of each hour or day that has calls, in time order: one for each group by
    `column`, or one for all calls where it is None."""
    groups = [({}, found.total)] if column is None else list(_groups(found, column))
    for hour in sorted(found.total):
        start = hour_start(hour)
        for names, series in groups:
            if hour in series:
                yield {"start": start, **names, **_figures(series[hour])}


def _groups(found: Summary, column: str) -> Iterator[tuple[Figures, Series]]:
    for name, series in found.groups.items():
        yield _group_name(column, name), series
    if found.rest:
        yield {column: None, "is_other": True}, found.rest


def _group_name(column: str, name: Name) -> Figures:
    return {column: name, "is_other": False}


def _figures(total: Total) -> Figures:
    figures: Figures = dict.fromkeys(COLUMNS)
    figures.update(zip(COUNTS, total.counts, strict=True))
    figures["cost_usd"] = to_usd(figures.pop("cost"))
    figures["cache_savings_usd"] = to_usd(figures.pop("cache_savings"))
    read, tokens_in = figures["tokens_cache_read"], figures["tokens_in"]
    figures["cache_share"] = read / tokens_in if read is not None and tokens_in else None
    for name, columns in PERCENTILES.items():
        durations = percentiles(getattr(total, name), SHARES.values())
        if durations:
            figures.update(zip(columns, map(_round, durations), strict=True))
    return figures


@cache  # there are only as many durations as a histogram has buckets
def _round(ms: float) -> float:
    return round(ms, 1)
