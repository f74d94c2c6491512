"""Spend, calls, tokens, errors and durations over time, from the rollups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any

from django.http import Http404
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from capture.ledger.histogram import percentiles
from capture.ledger.rollup_sums import ALL_NAMES, COUNTS, HISTOGRAMS, hour_of, in_usd, start_of
from reports.api.renderers import LedgerJSONRenderer
from reports.output.csv_table import CSVRenderer, Table
from reports.queries.parameters import Choice, Number, Parameters, Text, Time
from reports.queries.rollups import Filters, Name, Period, Series, Summary, Total, added, summary

BY = {
    "model": "model_id",
    "provider": "provider",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "environment": "environment",
}
INTERVALS = ("hour", "day")
MOST_DAYS = {"hour": 31, "day": 1100}
# Without `interval`, what is no longer than this comes by the hour.
BY_HOUR_UP_TO = timedelta(days=2)
DEFAULT_DAYS = {"hour": 1, "day": 30}
DEFAULT_GROUPS, MOST_GROUPS = 10, 100
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
    by = Choice(tuple(BY), help_text="a series for each of these, the dearest first")
    interval = Choice(INTERVALS, help_text="without it days, or hours where there are few")
    since = Time(help_text="from the hour of this time on")
    until = Time(help_text="up to the hour of this time")
    model_id = Text(help_text="calls of this model alone")
    provider = Text(help_text="to this provider alone")
    agent_name = Text(help_text="of this agent alone")
    app_id = Text(help_text="of this application alone")
    environment = Text(help_text="of this environment alone")
    user_id = Text(help_text="for this user alone; without another filter or `by`")
    limit = Number(
        lowest=1,
        highest=MOST_GROUPS,
        default=DEFAULT_GROUPS,
        help_text="groups; all others are one",
    )


class _Negotiation(DefaultContentNegotiation):
    def filter_renderers(
        self, renderers: Iterable[BaseRenderer], format: str
    ) -> list[BaseRenderer]:
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            accepted = ", ".join(str(renderer.format) for renderer in renderers)
            raise ValidationError({"format": [f"one of {accepted}"]}) from None


class Analytics(APIView):
    """Figures over time: `interval=hour|day`, from `since` to `until` (widened to whole hours),
    `by=model|provider|agent|user|app|environment`; `limit` groups (10), the dearest first, and one
    of all others. Filters: `model_id`, `provider`, `agent_name`, `app_id`, `environment`, or
    `user_id` alone. `format=csv` gives the series as a table."""

    renderer_classes = [LedgerJSONRenderer, BrowsableAPIRenderer, CSVRenderer]
    content_negotiation_class = _Negotiation

    @extend_schema(parameters=[AnalyticsParameters], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        asked = asked_of(AnalyticsParameters.of(request))
        found = found_of(asked)
        if request.accepted_renderer.format == "csv":
            begin, end = start_of(asked.period.begin), start_of(asked.period.end)
            name = f"analytics-{begin:%Y%m%dT%H}-{end:%Y%m%dT%H}"
            disposition = f'attachment; filename="{name}.csv"'
            table = _table(found, asked.column)
            return Response(table, headers={"content-disposition": disposition})
        return Response(response_of(asked, found))


# --- what was asked ---


@dataclass(frozen=True, slots=True)
class Asked:
    by: str | None
    filters: Filters
    interval: str
    period: Period
    limit: int

    @property
    def column(self) -> str | None:
        """What groups are told apart by."""
        return None if self.by is None else BY[self.by]


def asked_of(values: Mapping[str, Any]) -> Asked:
    """Raises ValidationError."""
    by = values.get("by")
    filters = {name: values[name] for name in ALL_NAMES if name in values}
    names = {*filters, None if by is None else BY[by]} - {None}
    if "user_id" in names and len(names) > 1:
        alone = "users are summed up on their own: alone, without other filters or another `by`"
        raise ValidationError({"user_id" if "user_id" in filters else "by": [alone]})
    interval, period = _period(values)
    return Asked(by, filters, interval, period, values["limit"])


def _period(values: Mapping[str, Any]) -> tuple[str, Period]:
    interval: str | None = values.get("interval")
    at = now()
    since, until = _moment(values, "since"), _moment(values, "until")
    end = hour_of((until or at) + timedelta(hours=1) - timedelta(microseconds=1))
    if interval is None:
        is_short = since is not None and start_of(end) - since <= BY_HOUR_UP_TO
        interval = "hour" if is_short else "day"
    if since is not None:
        begin = hour_of(since)
    else:
        begin = max(0, end - 24 * DEFAULT_DAYS[interval])
        if interval == "day":
            begin = -(-begin // 24) * 24
    if begin >= end:
        raise ValidationError({"since": ["a time before `until`"]})
    if end - begin > 24 * MOST_DAYS[interval]:
        most = f"at most {MOST_DAYS[interval]} days before `until` where `interval` is {interval}"
        raise ValidationError({"since": [most]})
    return interval, Period(begin, end, interval == "day", end > hour_of(at))


def _moment(values: Mapping[str, Any], name: str) -> datetime | None:
    found: datetime | None = values.get(name)
    if found is not None and not 1970 <= found.year < 2089:
        raise ValidationError({name: [f"{Time.accepted}, from 1970 to 2088"]})
    return found


# --- what is answered ---


def found_of(asked: Asked) -> Summary:
    return summary(asked.period, asked.column, asked.filters, asked.limit)


def response_of(asked: Asked, found: Summary) -> dict[str, Any]:
    return {**totals_of(asked, found), "series": list(_points(found, asked.column))}


def series_of_all(found: Summary) -> list[Figures]:
    """Over time, of all groups together."""
    return list(_points(found, None))


def totals_of(asked: Asked, found: Summary) -> dict[str, Any]:
    """Without what was when."""
    response = {
        "since": start_of(asked.period.begin),
        "until": start_of(asked.period.end),
        "interval": asked.interval,
        "by": asked.by,
        "total": _figures(added(found.total)),
    }
    if asked.column is not None:
        response["groups"] = [
            {**names, **_figures(added(series))} for names, series in _groups(found, asked.column)
        ]
    return response


def _groups(found: Summary, by: str) -> Iterator[tuple[Figures, Series]]:
    for name, series in found.groups.items():
        yield _named(by, name), series
    if found.rest:
        yield {by: None, "is_other": True}, found.rest


def _named(by: str, name: Name) -> Figures:
    return {by: name, "is_other": False}


def _points(found: Summary, by: str | None) -> Iterator[Figures]:
    """In time order; those hours and days that have calls."""
    groups = [({}, found.total)] if by is None else list(_groups(found, by))
    for hour in sorted(found.total):
        start = start_of(hour)
        for names, series in groups:
            if hour in series:
                yield {"start": start, **names, **_figures(series[hour])}


def _table(found: Summary, by: str | None) -> Table:
    names = () if by is None else (by, "is_other")
    return Table(("start", *names, *COLUMNS), _points(found, by))


def _figures(total: Total) -> Figures:
    figures: Figures = dict.fromkeys(COLUMNS)
    figures.update(zip(COUNTS, total.counts, strict=True))
    figures["cost_usd"] = in_usd(figures.pop("cost"))
    figures["cache_savings_usd"] = in_usd(figures.pop("cache_savings"))
    read, tokens_in = figures["tokens_cache_read"], figures["tokens_in"]
    figures["cache_share"] = read / tokens_in if read is not None and tokens_in else None
    for name, columns in PERCENTILES.items():
        told = percentiles(getattr(total, name), SHARES.values())
        if told:
            figures.update(zip(columns, map(_rounded, told), strict=True))
    return figures


@cache
def _rounded(ms: float) -> float:
    """There are as many durations as a histogram has buckets."""
    return round(ms, 1)
