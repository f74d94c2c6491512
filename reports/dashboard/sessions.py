"""The list of sessions, with their totals."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from reports.dashboard.errors import page
from reports.dashboard.links import as_api, with_parameters
from reports.queries.ledger_position import newest_position
from reports.queries.session_list import ORDERS, SessionsParameters
from reports.queries.session_list import page as sessions_page

AT_ONCE = 50
# Heads of columns, and what a click on them sorts by.
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
    given = as_api(request.GET)
    given.setdefault("limit", str(AT_ONCE))
    asked = SessionsParameters.of_query(given)
    found = sessions_page(asked)
    context = {
        "sessions": found.sessions,
        "total": found.total,
        "next_url": with_parameters(request, cursor=found.next.text()) if found.next else None,
        "is_first": "cursor" not in asked and "offset" not in asked,
        "columns": [_column(request, title, by, asked["order"]) for title, by in COLUMNS],
        "place": newest_position().text(),
        "given": given,
    }
    return render(request, "dashboard/sessions.html", context)


def _column(request: HttpRequest, title: str, by: str | None, order: str) -> dict[str, Any]:
    if by is None:
        return {"title": title}
    assert by in ORDERS
    descending = f"-{by}"
    url = with_parameters(request, sort=by if order == descending else descending, cursor=None)
    direction = {descending: "descending", by: "ascending"}.get(order)
    return {"title": title, "url": url, "direction": direction}
