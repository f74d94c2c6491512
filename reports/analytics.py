"""Spend, calls, tokens, errors and durations over time, from the rollups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any

from django.http import Http404
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from capture.histogram import percentiles
from capture.rollup_sums import ALL_NAMES, COUNTS, HISTOGRAMS, hour_of, in_usd, start_of
from reports.renderers import LedgerJSONRenderer
from reports.rollup_queries import Filters, Name, Period, Series, Summary, Total, added, summary
from reports.spreadsheet import CSVRenderer, Table

BY = {
    "model": "model_id",
    "provider": "provider",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "environment": "environment",
}
PARAMETERS = ("by", "interval", "since", "until", *ALL_NAMES, "limit", "format", "api_key")
INTERVALS = ("hour", "day")
MOST_DAYS = {"hour": 31, "day": 1100}
# Without `interval`, what is no longer than this comes by the hour.
BY_HOUR_UP_TO = timedelta(days=2)
DEFAULT_DAYS = {"hour": 1, "day": 30}
DEFAULT_GROUPS, MOST_GROUPS = 10, 100
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
A_TIME = "an ISO 8601 date or time from 1970 to 2088, in UTC unless it says otherwise"

PERCENTILES = {name: [f"{name}_{percentile}_ms" for percentile in SHARES] for name in HISTOGRAMS}
COLUMNS = (
    *("call_count", "error_count", "refused_count", "tokens_in", "tokens_out"),
    *("tokens_cache_read", "tokens_cache_write", "tokens_reasoning", "cache_share"),
    *("cost_usd", "cost_unknown_calls", "cache_savings_usd"),
    *chain.from_iterable(PERCENTILES.values()),
)
Figures = dict[str, Any]


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

    @extend_schema(
        parameters=[OpenApiParameter(name) for name in PARAMETERS if name != "api_key"],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        _check_names(request)
        by, filters = _grouping(request)
        interval, period = _period(request)
        found = summary(period, by, filters, _limit(request))
        if request.accepted_renderer.format == "csv":
            name = f"analytics-{start_of(period.begin):%Y%m%dT%H}-{start_of(period.end):%Y%m%dT%H}"
            disposition = f'attachment; filename="{name}.csv"'
            return Response(_table(found, by), headers={"content-disposition": disposition})
        answer = {
            "since": start_of(period.begin),
            "until": start_of(period.end),
            "interval": interval,
            "by": request.query_params.get("by"),
            "total": _figures(added(found.total)),
        }
        if by is not None:
            answer["groups"] = [
                {**names, **_figures(added(series))} for names, series in _groups(found, by)
            ]
        answer["series"] = list(_points(found, by))
        return Response(answer)


# --- what was asked ---


def _check_names(request: Request) -> None:
    for name in request.query_params:
        if name not in PARAMETERS:
            raise ValidationError({name: [f"not known here; accepted: {', '.join(PARAMETERS)}"]})


def _grouping(request: Request) -> tuple[str | None, Filters]:
    asked = request.query_params.get("by")
    if asked is not None and asked not in BY:
        raise ValidationError({"by": [f"one of {', '.join(BY)}"]})
    by = None if asked is None else BY[asked]
    filters = {n: request.query_params[n] for n in ALL_NAMES if n in request.query_params}
    for name, value in filters.items():
        if not value or "\0" in value:  # no call has such a name
            raise ValidationError({name: ["a name, in full"]})
    if "user_id" in {*filters, by} and len({*filters, by} - {None}) > 1:
        alone = "users are summed up on their own: alone, without other filters or another `by`"
        raise ValidationError({"user_id" if "user_id" in filters else "by": [alone]})
    return by, filters


def _period(request: Request) -> tuple[str, Period]:
    interval = request.query_params.get("interval")
    if interval is not None and interval not in INTERVALS:
        raise ValidationError({"interval": [f"one of {', '.join(INTERVALS)}"]})
    at = now()
    since, until = _moment(request, "since"), _moment(request, "until")
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


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    # A + that was not encoded has come as a space.
    text = re.sub(r"(T.+) (\d\d:?\d\d)$", r"\1+\2", text)
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValidationError({name: [A_TIME]}) from None
    if not 1970 <= found.year < 2089:
        raise ValidationError({name: [A_TIME]})
    return found


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_GROUPS))
    if text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST_GROUPS:
        return int(text)
    raise ValidationError({"limit": [f"a whole number from 1 to {MOST_GROUPS}"]})


# --- what is answered ---


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
