"""The list of sessions, and one session read as a conversation."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import UUIDField

from capture.admission.decision import Standing
from capture.models import Call, Ledger, Session
from reports import queries
from reports.budgets_of_call import standing
from reports.dashboard.addresses import with_parameters
from reports.dashboard.refused import not_found, page
from reports.live.ledger import stops_in_force
from reports.parameters import Flag, Parameters, Text
from reports.session_costs import by_agent_and_model, growth
from reports.session_list import ORDERS, SessionsParameters
from reports.session_list import page as sessions_page
from reports.transcript import transcript

AT_ONCE = 50
SHOWN, MOST_SHOWN = 8_000, 10_000_000
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


class SessionParameters(Parameters):
    agent = Text(help_text="the calls of this agent alone")
    after = UUIDField(required=False, help_text="the call to go on behind")
    all = Flag(help_text="texts are not cut")


@page
def sessions(request: HttpRequest) -> HttpResponse:
    given = request.GET.copy()
    given.setdefault("limit", str(AT_ONCE))
    asked = SessionsParameters.of_query(given)
    found = sessions_page(asked)
    context = {
        "sessions": found.sessions,
        "total": found.total,
        "next_url": with_parameters(request, cursor=found.next.text()) if found.next else None,
        "is_first": "cursor" not in asked and "offset" not in asked,
        "columns": [_column(request, title, by, asked["order"]) for title, by in COLUMNS],
        "seq": Ledger.objects.values_list("last_seq", flat=True).get(pk=1),
        "given": given,
    }
    return render(request, "dashboard/sessions.html", context)


@page
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    asked = SessionParameters.of_query(request.GET)
    found = queries.session(session_id)
    if found is None:
        return not_found(request, f"session {session_id}")
    try:
        said = transcript(found, agent=asked.get("agent"), after=asked.get("after"))
    except Call.DoesNotExist:
        raise ValidationError({"after": ["the action_id of a call of this session"]}) from None
    context = {
        "session": found,
        "said": said,
        "next_url": with_parameters(request, after=str(said.next)) if said.next else None,
        "is_first": "after" not in asked,
        "agent": asked.get("agent"),
        "agents": [
            (name, with_parameters(request, agent=name, after=None)) for name in found.agents
        ],
        "all_agents": with_parameters(request, agent=None, after=None),
        "costs": by_agent_and_model(found),
        "growth": growth(found),
        "budget": _budget(found),
        "stops": _stops_of(found),
        "limit": MOST_SHOWN if asked.get("all") else SHOWN,
        "all_url": with_parameters(request, all="true"),
        "seq": Ledger.objects.values_list("last_seq", flat=True).get(pk=1),
    }
    return render(request, "dashboard/session.html", context)


def _column(request: HttpRequest, title: str, by: str | None, order: str) -> dict[str, Any]:
    if by is None:
        return {"title": title}
    assert by in ORDERS
    descending = f"-{by}"
    url = with_parameters(request, order=by if order == descending else descending, cursor=None)
    direction = {descending: "descending", by: "ascending"}.get(order)
    return {"title": title, "url": url, "direction": direction}


def _budget(session: Session) -> Standing | None:
    """Where the session's own budget stands; None: there is none."""
    all_of_them = standing(session.session_id, None, None)
    return next((one for one in all_of_them if one.name == "budget_session"), None)


def _stops_of(session: Session) -> list[dict[str, Any]]:
    its = {("everything", ""), ("session", session.session_id)}
    its |= {("agent", name) for name in session.agents} | {("user", name) for name in session.users}
    return [stop for stop in stops_in_force() if (stop["scope"], stop["value"]) in its]
