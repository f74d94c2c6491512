"""The Sessions page: sessions with their totals."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from capture.ledger.changes import newest_position
from reports.dashboard.errors import page
from reports.dashboard.links import change_query, to_api_query
from reports.queries.session_list import ORDERS, SessionsParameters, session_page

PAGE_SIZE = 50
# The titles of columns, and the order for those that can be sorted.
COLUMNS = (
    ("Session", None),
    ("Last call", "last_call_at"),
    ("Calls", "call_count"),
    ("Errors", "error_count"),
    ("Refused", None),
    ("Tokens in → out", None),
    ("Cost", "total_cost_usd"),
    ("Agents", None),
    ("Labels", None),
)


@page
def sessions(request: HttpRequest) -> HttpResponse:
    given = to_api_query(request.GET)
    given.setdefault("limit", str(PAGE_SIZE))
    filters = SessionsParameters(given)
    parameters, found = filters.values, session_page(filters)
    context = {
        "sessions": found.sessions,
        "total": found.total,
        "next_url": change_query(request, cursor=found.next.text()) if found.next else None,
        "is_first": "cursor" not in parameters and "offset" not in parameters,
        "columns": [_column(request, title, by, parameters["order"]) for title, by in COLUMNS],
        "place": newest_position().text(),
        "given": given,
    }
    return render(request, "dashboard/sessions.html", context)


def _column(request: HttpRequest, title: str, by: str | None, order: str) -> dict[str, Any]:
    if by is None:
        return {"title": title}
    assert by in ORDERS
    descending = f"-{by}"
    url = change_query(request, sort=by if order == descending else descending, cursor=None)
    direction = {descending: "descending", by: "ascending"}.get(order)
    return {"title": title, "url": url, "direction": direction}
