"""Calls: all of them, live, and the same rows for programs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import now

from capture.models import Call
from reports.dashboard.calls_page import NEWEST_FIRST, CallsPage, CallsPageParameters, calls_page
from reports.dashboard.errors import page
from reports.dashboard.facets import facets_of
from reports.dashboard.links import with_parameters
from reports.json_encoding import encode
from reports.output.csv_table import Table, csv_text
from reports.queries.call_list import FIELDS, CallFilter, short_calls
from reports.queries.ledger_position import live_figures, newest_position, stops_in_force
from reports.queries.parameters import Names, Text

COLUMNS = {
    "time": "Time",
    "session": "Session",
    "agent": "Agent",
    "environment": "Env.",
    "model": "Model",
    "status": "Status",
    "tokens": "Tokens",
    "cost": "Cost",
    "ttft": "TTFT",
    "total": "Total",
    "said": "Newly said",
}
IN_FULL = {
    "environment": "Environment",
    "tokens": "Tokens in → out",
    "ttft": "Time until the first token",
    "total": "Time until the end",
}
# What a click on a column's head sorts by.
SORTED_BY = {"time": "timestamp", "cost": "cost", "ttft": "ttft", "total": "latency"}


class PageParameters(CallsPageParameters):
    """Beside which calls: how the page shows them."""

    cols = Names(COLUMNS, help_text="columns to show, or -columns to leave out")
    tail = Text(help_text="0: new calls do not come by themselves")
    sel = Text(help_text="the call that is selected")


OF_PAGE = ("cols", "tail", "sel", "before")


@page
def calls(request: HttpRequest) -> HttpResponse:
    asked = PageParameters.of_query(request.GET)
    # Before the calls: what comes between is told by the feed, twice rather than never.
    place = newest_position()
    found = calls_page(asked)
    if request.headers.get("hx-target") == "older":
        return render(request, "dashboard/_calls_older.html", _rows(request, found))
    filters = _filters(request)
    sort = asked.get("sort", NEWEST_FIRST)
    is_live = sort == NEWEST_FIRST and not asked.keys() & {"until", "before", "q"}
    base_url = request.build_absolute_uri("/").rstrip("/")
    shown = asked.get("cols", set(COLUMNS))
    context = {
        **_rows(request, found),
        "filters": filters,
        "chips": _chips(request, filters),
        "columns": [_column(request, name, sort, name in shown) for name in COLUMNS],
        "hidden": " ".join(f"without-{name}" for name in COLUMNS if name not in shown),
        "sort": sort,
        "is_live": is_live,
        "place": place.text(),
        "live_query": urlencode(_live(asked)),
        "figures": live_figures(now()),
        "today": f"{now():%Y-%m-%d}",
        "stops": stops_in_force(),
        "base_url": base_url,
        "nothing_yet": not found.calls and not filters and place.seq == 0,
    }
    return render(request, "dashboard/calls.html", context)


@page
def calls_facets(request: HttpRequest) -> HttpResponse:
    """What calls can be narrowed by, with how many there were."""
    asked = PageParameters.of_query(request.GET)
    facets = [
        {**facet, "values": [_facet(request, facet["name"], value) for value in facet["values"]]}
        for facet in facets_of(asked)
    ]
    return render(request, "dashboard/_facets.html", {"facets": facets})


@page
def calls_json(request: HttpRequest) -> HttpResponse:
    found = calls_page(PageParameters.of_query(request.GET))
    response = HttpResponse(encode(found.calls), content_type="application/json")
    if found.older is not None:
        query = _with(request, before=found.older.text()).removeprefix("/")
        url = request.build_absolute_uri(request.path + query)
        response["Link"] = f'<{url}>; rel="next"'
    return response


@page
def calls_csv(request: HttpRequest) -> HttpResponse:
    found = calls_page(PageParameters.of_query(request.GET))
    response = HttpResponse(csv_text(Table(FIELDS, found.calls)), content_type="text/csv")
    response["Content-Disposition"] = 'attachment; filename="calls.csv"'
    return response


def _rows(request: HttpRequest, found: CallsPage) -> dict[str, Any]:
    older = found.older.text() if found.older else None
    return {
        "page": found,
        "calls": found.calls,
        "older_url": _with(request, before=older) if older else None,
    }


def _filters(request: HttpRequest) -> dict[str, str]:
    """Those that narrow down which calls are shown."""
    names = set(CallFilter.__dataclass_fields__) | {"since", "until", "q"}
    return {name: str(value) for name, value in request.GET.items() if name in names and value}


def _chips(request: HttpRequest, filters: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": value, "without": _with(request, **{name: None})}
        for name, value in filters.items()
    ]


def _column(request: HttpRequest, name: str, sort: str, is_shown: bool) -> dict[str, Any]:
    by = SORTED_BY.get(name) if not request.GET.get("q") else None
    given = request.GET.get("cols", "")
    left_out = {entry.removeprefix("-") for entry in given.split(",") if entry.startswith("-")}
    left_out ^= {name}
    cols = ",".join(f"-{entry}" for entry in COLUMNS if entry in left_out) or None
    descending = f"-{by}"
    return {
        "name": name,
        "title": COLUMNS[name],
        "long": IN_FULL.get(name),
        "is_shown": is_shown,
        "toggle": _with(request, cols=cols),
        "sort": _with(request, sort=by if sort == descending else descending, before=None)
        if by
        else None,
        "direction": {descending: "descending", by: "ascending"}.get(sort),
    }


def _facet(request: HttpRequest, name: str, value: dict[str, Any]) -> dict[str, Any]:
    is_chosen = request.GET.get(name) == value["value"]
    return {
        **value,
        "is_chosen": is_chosen,
        "url": _with(request, **{name: None if is_chosen else value["value"]}),
    }


def _with(request: HttpRequest, **changes: str | None) -> str:
    """The page of calls with other parameters; but for `before` from its newest on."""
    return "/" + with_parameters(request, **{"before": None, **changes})


def _live(asked: dict[str, Any]) -> dict[str, Any]:
    names = CallFilter.__dataclass_fields__
    return {name: value for name, value in asked.items() if name in names}


@page
def call_peek(request: HttpRequest, action_id: UUID) -> HttpResponse:
    """What the list knows of one call, for the panel beside it."""
    found = short_calls(Call.objects.not_deleted().filter(pk=action_id))
    if not found:
        return HttpResponse("It is gone.", status=404, content_type="text/plain")
    return render(request, "dashboard/_call_peek.html", {"call": found[0]})
