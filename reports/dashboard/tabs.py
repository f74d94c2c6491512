"""The bar at the top of every page."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse


class Tab(NamedTuple):
    name: str
    route: str
    keys: str = ""
    of_session: bool = False  # shows one session, the one that the reader looks at now


TABS = (
    Tab("Calls", "index", "g c"),
    Tab("Sessions", "dashboard_sessions"),
    Tab("Flow", "dashboard_flow", "g f", of_session=True),
    Tab("Trace", "dashboard_trace", "g t", of_session=True),
    Tab("Search", "dashboard_search", "g s"),
    Tab("Analytics", "dashboard_analytics"),
)


def tabs(request: HttpRequest) -> list[dict[str, object]]:
    match = request.resolver_match
    route = match.view_name if match else None
    session = request.GET.get("session") or (match and match.kwargs.get("session_id"))
    return [
        {
            "name": tab.name,
            "url": reverse(tab.route)
            + (f"?{urlencode({'session': session})}" if tab.of_session and session else ""),
            "keys": tab.keys,
            "is_current": tab.route == route,
        }
        for tab in TABS
    ]
