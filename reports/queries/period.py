"""The parameters of a report on a period, and its days. Sums are kept by the hour, so a period is
widened to whole hours, and its days are those of a zone whose days begin with an hour of UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from django.utils.timezone import now
from rest_framework.exceptions import ValidationError

from capture.ledger.rollup_sums import hour_of, hour_start
from reports.queries.parameters import (
    Parameter,
    Parameters,
    TextParameter,
    TimeParameter,
    parse_time,
)
from reports.queries.rollups import Period
from reports.queries.time_zones import parse_zone

MAX_DAYS = 1100
FIRST_YEAR, LAST_YEAR = 1970, 2088


class LocalTimeParameter(TimeParameter):
    """A time as ISO 8601; without an offset it has no zone yet."""

    def parse(self, text: str) -> datetime:
        time = parse_time(text)
        if not FIRST_YEAR <= time.year <= LAST_YEAR:
            raise ValueError
        return time


class ZoneParameter(Parameter):
    accepted = "the name of a time zone, e.g. Europe/Berlin"

    def parse(self, text: str) -> tzinfo:
        zone = parse_zone(text)
        if zone is UTC and text != "UTC":
            raise ValueError
        return zone


class PeriodParameters(Parameters):
    since = LocalTimeParameter(
        help_text="start of the period, in `tz` unless it has an offset, rounded down to the hour;"
        " default: the first day of the month before `until`"
    )
    until = LocalTimeParameter(
        help_text="end of the period, which is not part of it, rounded up to the hour; default: now"
        " if `since` is given, else the first day of this month"
    )
    tz = ZoneParameter(help_text="time zone of days and times; default: UTC")
    agent_name = TextParameter(help_text="only calls of this agent")


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a period, or the part of it that is in the period."""

    date: date
    begin: int  # in hours since 1970, UTC
    end: int


@dataclass(frozen=True, slots=True)
class ReportedPeriod:
    begin: int  # in hours since 1970, UTC
    end: int  # the first hour after it
    is_to_now: bool  # no call is later than its end
    zone: tzinfo
    agent_name: str | None
    days: list[Day]

    @property
    def since(self) -> datetime:
        return hour_start(self.begin).astimezone(self.zone)

    @property
    def until(self) -> datetime:
        return hour_start(self.end).astimezone(self.zone)

    @property
    def filters(self) -> dict[str, str]:
        return {} if self.agent_name is None else {"agent_name": self.agent_name}

    def rollups(self) -> Period:
        return Period(self.begin, self.end, True, self.is_to_now)

    def rollups_of(self, day: Day) -> Period:
        return Period(day.begin, day.end, True, self.is_to_now and day.end == self.end)


def reported_period(parameters: Mapping[str, Any]) -> ReportedPeriod:
    """Takes the values of PeriodParameters. Raises ValidationError."""
    zone: tzinfo = parameters.get("tz", UTC)
    at = now()
    since = _in_zone(parameters.get("since"), zone)
    until = _in_zone(parameters.get("until"), zone)
    if until is None:
        until = at if since is not None else _month_of(at.astimezone(zone))
    end = hour_of(until + timedelta(hours=1) - timedelta(microseconds=1))
    if since is None:
        since = _month_of(hour_start(end - 1).astimezone(zone))
    begin = hour_of(since)
    if begin >= end:
        raise ValidationError({"since": ["a time before `until`"]})
    if end - begin > 24 * MAX_DAYS:
        raise ValidationError({"since": [f"at most {MAX_DAYS} days before `until`"]})
    days = _days(begin, end, zone)
    return ReportedPeriod(begin, end, end > hour_of(at), zone, parameters.get("agent_name"), days)


def _in_zone(time: datetime | None, zone: tzinfo) -> datetime | None:
    return time.replace(tzinfo=zone) if time is not None and time.tzinfo is None else time


def _month_of(time: datetime) -> datetime:
    return time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _days(begin: int, end: int, zone: tzinfo) -> list[Day]:
    """Raises ValidationError if a day of the zone does not begin with an hour of UTC."""
    day = hour_start(begin).astimezone(zone).date()
    starts = [_first_hour(day, zone)]
    while starts[-1] < end:
        day += timedelta(days=1)
        starts.append(_first_hour(day, zone))
    first = day - timedelta(days=len(starts) - 1)
    return [
        Day(first + timedelta(days=number), max(begin, start), min(end, after))
        for number, (start, after) in enumerate(zip(starts, starts[1:], strict=False))
    ]


def _first_hour(day: date, zone: tzinfo) -> int:
    seconds = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    hour, rest = divmod(seconds, 3600)
    if rest:
        error = "a zone whose days begin with an hour of UTC: sums are kept by these hours"
        raise ValidationError({"tz": [error]})
    return hour
