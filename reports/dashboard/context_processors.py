"""The values that every page's template needs: preferences, permissions and the navigation bar."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from access.actors import actor_of
from access.roles import Role
from capture.spool.folder import Folder
from reports.dashboard.preferences import read_preferences
from reports.sinks.state import read_states


class Tab(NamedTuple):
    """An entry of the navigation bar."""

    name: str
    route: str
    keys: str = ""
    shows_session: bool = False  # its link keeps the session of the current page


TABS = (
    Tab("Calls", "index", "g c"),
    Tab("Sessions", "dashboard_sessions"),
    Tab("Flow", "dashboard_flow", "g f", shows_session=True),
    Tab("Trace", "dashboard_trace", "g t", shows_session=True),
    Tab("Search", "dashboard_search", "g s"),
    Tab("Analytics", "dashboard_analytics"),
    Tab("Evidence", "dashboard_evidence"),
)


def page_context(request: HttpRequest) -> dict[str, Any]:
    """A context processor, named in the settings."""
    actor = actor_of(request)
    return {
        "preferences": read_preferences(request),
        "actor": actor,
        "may_edit": actor.may(Role.EDITOR),
        "may_administer": actor.may(Role.ADMIN),
        "tabs": _tabs(request),
        "is_altered": _is_altered(),
        "version": settings.VERSION,
    }


def _is_altered() -> bool:
    """Returns whether the last verification found that the ledger is not intact: as a file beside
    the spool says, so that a page costs no query more."""
    states = read_states(Folder(settings.AGENTLEDGER.spool_path))
    return bool(states.get("verification", {}).get("n_findings"))


def _tabs(request: HttpRequest) -> list[dict[str, object]]:
    match = request.resolver_match
    route = match.view_name if match else None
    session = request.GET.get("session") or (match and match.kwargs.get("session_id"))
    query = f"?{urlencode({'session': session})}" if session else ""
    return [
        {
            "name": tab.name,
            "url": reverse(tab.route) + (query if tab.shows_session else ""),
            "keys": tab.keys,
            "is_current": tab.route == route,
        }
        for tab in TABS
    ]
