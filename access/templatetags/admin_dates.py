"""Links that narrow a list of the admin to a year, a month or a day: all dates between its first
row and its last. Django's own tag reads every row to find the dates that have any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.utils.formats import date_format

register = template.Library()

PARTS = ("year", "month", "day")


@register.inclusion_tag("admin/date_hierarchy.html")
def dates_between(change_list: ChangeList) -> dict[str, Any]:
    keys = [f"{change_list.date_hierarchy}__{part}" for part in PARTS]
    days = _days_between(*_ends(change_list))
    if not days:
        return {"show": False}
    chosen = tuple(int(change_list.params[key]) for key in keys if key in change_list.params)
    prefix = chosen or _common_prefix(days)
    level = min(len(prefix) + 1, len(PARTS))
    choices = sorted({day[:level] for day in days if day[: len(prefix)] == prefix})

    def link(parts: Sequence[int]) -> str:
        return change_list.get_query_string(
            dict(zip(keys, map(str, parts), strict=False)), [f"{change_list.date_hierarchy}__"]
        )

    return {
        "show": True,
        "back": {"link": link(chosen[:-1]), "title": _title(chosen[:-1])} if chosen else None,
        "choices": [
            {"title": _title(parts), "link": link(parts) if parts != chosen else None}
            for parts in choices
        ],
    }


def _ends(change_list: ChangeList) -> tuple[date | None, date | None]:
    name = change_list.date_hierarchy
    assert name is not None
    rows = change_list.root_queryset.order_by(name).values_list(name, flat=True)
    first, last = rows.first(), rows.last()
    return first and first.date(), last and last.date()


def _days_between(first: date | None, last: date | None) -> list[tuple[int, ...]]:
    if first is None or last is None:
        return []
    days = (first + timedelta(n) for n in range((last - first).days + 1))
    return [(day.year, day.month, day.day) for day in days]


def _common_prefix(days: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns the month or the year that all days are in; () if they are in several years."""
    first, last = days[0], days[-1]
    return next((first[:n] for n in (2, 1) if first[:n] == last[:n]), ())


def _title(parts: Sequence[int]) -> str:
    match parts:
        case []:
            return "All dates"
        case [year]:
            return str(year)
        case [year, month]:
            return date_format(date(year, month, 1), "YEAR_MONTH_FORMAT")
        case [year, month, day]:
            return date_format(date(year, month, day), "MONTH_DAY_FORMAT")
    raise ValueError(parts)
