"""The Calls page, its JSON and CSV, and the panel with one call beside it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import now

from capture.ledger.changes import newest_position
from capture.models import Call
from reports.addresses import proxy_url, root
from reports.dashboard.calls_page import (
    NEWEST_FIRST,
    CallsPage,
    CallsPageParameters,
    read_calls_page,
)
from reports.dashboard.errors import HtmxRequest, page
from reports.dashboard.facets import read_facets
from reports.dashboard.links import change_query
from reports.json_encoding import encode
from reports.output.csv_table import Table, csv_text
from reports.queries.call_list import FIELDS, CallFilter, short_calls
from reports.queries.ledger_position import live_figures, stops_in_force
from reports.queries.parameters import NamesParameter, TextParameter

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
    "input": "New input",
}
LONG_TITLES = {
    "environment": "Environment",
    "tokens": "Tokens in → out",
    "ttft": "Time to first token",
    "total": "Total time",
}
# The columns that can be sorted, with the value of `sort`.
SORTS_OF_COLUMNS = {"time": "timestamp", "cost": "cost", "ttft": "ttft", "total": "latency"}


class PageParameters(CallsPageParameters):
    """The parameters that select calls, and those of the page alone."""

    cols = NamesParameter(COLUMNS, help_text="columns to show, or -columns to leave out")
    tail = TextParameter(help_text="0: live updates are paused")
    sel = TextParameter(help_text="the selected call")


@page
def calls(request: HtmxRequest) -> HttpResponse:
    parameters = PageParameters.parse(request.GET)
    # Read before the calls: the feed repeats a call that is recorded in between instead of
    # missing it.
    position = newest_position()
    found = read_calls_page(parameters)
    if request.htmx.target == "older":
        return render(request, "dashboard/_calls_older.html", _rows(request, found))
    filters = _filters(request)
    sort = parameters.get("sort", NEWEST_FIRST)
    context = {
        **_rows(request, found),
        **_columns(request, parameters, sort),
        "filters": filters,
        "chips": _chips(request, filters),
        "is_live": sort == NEWEST_FIRST and not parameters.keys() & {"until", "before", "q"},
        "place": position.text(),
        "live_query": urlencode(_live_filter(parameters)),
        "figures": live_figures(now()),
        "today": f"{now():%Y-%m-%d}",
        "stops": stops_in_force(),
        "base_url": proxy_url(request),
        "is_ledger_empty": not found.calls and not filters and position.seq == 0,
    }
    return render(request, "dashboard/calls.html", context)


@page
def calls_facets(request: HttpRequest) -> HttpResponse:
    """Returns the part of the page that lists frequent values to filter by."""
    facets = [
        {**facet, "values": [_facet(request, facet["name"], value) for value in facet["values"]]}
        for facet in read_facets(PageParameters.parse(request.GET))
    ]
    return render(request, "dashboard/_facets.html", {"facets": facets})


@page
def calls_json(request: HttpRequest) -> HttpResponse:
    found = read_calls_page(PageParameters.parse(request.GET))
    response = HttpResponse(encode(found.calls), content_type="application/json")
    if found.older is not None:
        query = _list_query(request, before=found.older.text())
        url = request.build_absolute_uri(request.path + query)
        response["Link"] = f'<{url}>; rel="next"'
    return response


@page
def calls_csv(request: HttpRequest) -> HttpResponse:
    found = read_calls_page(PageParameters.parse(request.GET))
    response = HttpResponse(csv_text(Table(FIELDS, found.calls)), content_type="text/csv")
    response["Content-Disposition"] = 'attachment; filename="calls.csv"'
    return response


@page
def call_peek(request: HttpRequest, action_id: UUID) -> HttpResponse:
    """Returns the panel that shows a call beside the list."""
    found = short_calls(Call.objects.not_deleted().filter(pk=action_id))
    if not found:
        return HttpResponse("This call no longer exists.", status=404, content_type="text/plain")
    return render(request, "dashboard/_call_peek.html", {"call": found[0]})


def _rows(request: HttpRequest, found: CallsPage) -> dict[str, Any]:
    older = found.older.text() if found.older else None
    return {
        "page": found,
        "calls": found.calls,
        "older_url": _list_url(request, before=older) if older else None,
    }


def _filters(request: HttpRequest) -> dict[str, str]:
    """Returns the parameters that limit which calls are shown."""
    names = set(CallFilter.__dataclass_fields__) | {"since", "until", "q"}
    return {name: str(value) for name, value in request.GET.items() if name in names and value}


def _chips(request: HttpRequest, filters: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": value, "without": _list_url(request, **{name: None})}
        for name, value in filters.items()
    ]


def _columns(request: HttpRequest, parameters: dict[str, Any], sort: str) -> dict[str, Any]:
    shown = parameters.get("cols", set(COLUMNS))
    return {
        "columns": [_column(request, name, sort, name in shown) for name in COLUMNS],
        "hidden": " ".join(f"without-{name}" for name in COLUMNS if name not in shown),
    }


def _column(request: HttpRequest, name: str, sort: str, is_shown: bool) -> dict[str, Any]:
    by = SORTS_OF_COLUMNS.get(name) if not request.GET.get("q") else None
    given = request.GET.get("cols", "")
    hidden = {entry.removeprefix("-") for entry in given.split(",") if entry.startswith("-")}
    hidden ^= {name}
    cols = ",".join(f"-{entry}" for entry in COLUMNS if entry in hidden) or None
    descending = f"-{by}"
    new_sort = by if sort == descending else descending
    return {
        "name": name,
        "title": COLUMNS[name],
        "long_title": LONG_TITLES.get(name),
        "is_shown": is_shown,
        "toggle": _list_url(request, cols=cols),
        "sort": _list_url(request, sort=new_sort, before=None) if by else None,
        "direction": {descending: "descending", by: "ascending"}.get(sort),
    }


def _facet(request: HttpRequest, name: str, value: dict[str, Any]) -> dict[str, Any]:
    is_chosen = request.GET.get(name) == value["value"]
    url = _list_url(request, **{name: None if is_chosen else value["value"]})
    return {**value, "is_chosen": is_chosen, "url": url}


def _list_url(request: HttpRequest, **changes: str | None) -> str:
    """Returns the URL of the list with changed parameters; it begins at the newest call, unless
    `before` is among them."""
    return f"{root()}/{_list_query(request, **changes)}"


def _list_query(request: HttpRequest, **changes: str | None) -> str:
    return change_query(request, **{"before": None, **changes})


def _live_filter(parameters: dict[str, Any]) -> dict[str, Any]:
    names = CallFilter.__dataclass_fields__
    return {name: value for name, value in parameters.items() if name in names}
