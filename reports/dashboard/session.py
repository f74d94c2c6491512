"""One session: read as a conversation, or its calls as a list."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import UUIDField

from capture.admission.decision import Standing
from capture.models import Call, Session
from reports.analysis.transcript import transcript
from reports.dashboard.calls_page import AT_ONCE, calls_page
from reports.dashboard.errors import not_found, page
from reports.dashboard.links import with_parameters
from reports.queries import records
from reports.queries.budget_usage import standing
from reports.queries.call_list import WARNED
from reports.queries.cursors import CursorField
from reports.queries.ledger_position import newest_position, stops_in_force
from reports.queries.parameters import Choice, Flag, Parameters, Text
from reports.queries.session_costs import by_agent_and_model, growth

TABS = ("transcript", "calls")
SHOWN, MOST_SHOWN = 8_000, 10_000_000
# What says where a tab is, and means nothing to another one.
OF_TABS = ("after", "before", "all", "sel")


class SessionParameters(Parameters):
    tab = Choice(TABS, help_text="what is shown of the calls")
    agent = Text(help_text="the calls of this agent alone")
    after = UUIDField(required=False, help_text="of the transcript: the call to go on behind")
    all = Flag(help_text="texts are not cut")
    before = CursorField(help_text="of the calls: where to go on")
    sel = Text(help_text="the call that is selected")


@page
def session(request: HttpRequest, session_id: str) -> HttpResponse:
    asked = SessionParameters.of_query(request.GET)
    found = records.session(session_id)
    if found is None:
        return not_found(request, f"session {session_id}")
    tab = asked.get("tab", TABS[0])
    shown = _calls(request, found, asked) if tab == "calls" else _said(request, found, asked)
    if request.headers.get("hx-target") == "older":
        return render(request, "dashboard/_calls_older.html", shown)
    elsewhere = dict.fromkeys(OF_TABS)
    tabs = [(name, with_parameters(request, tab=name, **elsewhere)) for name in TABS]
    context = {
        **shown,
        "session": found,
        "tab": tab,
        "tabs_of_session": tabs,
        "agent": asked.get("agent"),
        "agents": [
            (name, with_parameters(request, agent=name, **elsewhere)) for name in found.agents
        ],
        "all_agents": with_parameters(request, agent=None, **elsewhere),
        "n_warned": records.calls_of(found).filter(WARNED).count(),
        "costs": by_agent_and_model(found),
        "growth": growth(found),
        "budget": _budget(found),
        "stops": _stops_of(found),
        "place": newest_position().text(),
    }
    return render(request, "dashboard/session.html", context)


def _said(request: HttpRequest, session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        said = transcript(session, agent=asked.get("agent"), after=asked.get("after"))
    except Call.DoesNotExist:
        raise ValidationError({"after": ["the action_id of a call of this session"]}) from None
    return {
        "said": said,
        "next_url": with_parameters(request, after=str(said.next)) if said.next else None,
        "limit": MOST_SHOWN if asked.get("all") else SHOWN,
        "all_url": with_parameters(request, all="true"),
    }


def _calls(request: HttpRequest, session: Session, asked: dict[str, Any]) -> dict[str, Any]:
    wanted = {"session": session.session_id}
    wanted |= {"agent": asked["agent"]} if "agent" in asked else {}
    where = {"before": asked["before"]} if "before" in asked else {}
    found = calls_page({**wanted, **where, "limit": AT_ONCE})
    older = with_parameters(request, before=found.older.text()) if found.older else None
    return {
        "page": found,
        "calls": found.calls,
        "older_url": older,
        "list_query": f"?{urlencode(wanted)}",
    }


def _budget(session: Session) -> Standing | None:
    """Where the session's own budget stands; None: there is none."""
    all_of_them = standing(session.session_id, None, None)
    return next((one for one in all_of_them if one.name == "budget_session"), None)


def _stops_of(session: Session) -> list[dict[str, Any]]:
    its = {("everything", ""), ("session", session.session_id)}
    its |= {("agent", name) for name in session.agents} | {("user", name) for name in session.users}
    return [stop for stop in stops_in_force() if (stop["scope"], stop["value"]) in its]
