"""The page of one session: its conversation, or its calls as a list."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import ValidationError

from capture.admission.decision import Standing
from capture.ledger.changes import newest_position
from capture.models import Call, Session
from reports.analysis.transcript import read_transcript
from reports.dashboard.calls_page import PAGE_SIZE, read_calls_page
from reports.dashboard.errors import HtmxRequest, not_found, page
from reports.dashboard.links import change_query
from reports.queries import records
from reports.queries.budget_usage import current_standing
from reports.queries.call_list import WARNED
from reports.queries.cursors import CursorParameter
from reports.queries.ledger_position import stops_in_force
from reports.queries.parameters import (
    ChoiceParameter,
    FlagParameter,
    Parameters,
    TextParameter,
    UuidParameter,
)
from reports.queries.session_costs import cost_growth, costs_by_agent_and_model

TABS = ("transcript", "calls")
# Characters of one text: as many as a page shows at first, and with `all`.
TEXT_LIMIT, MAX_TEXT_LIMIT = 8_000, 10_000_000
# Parameters that belong to one tab alone.
TAB_PARAMETERS = ("after", "before", "all", "sel")


class SessionParameters(Parameters):
    tab = ChoiceParameter(TABS, help_text="the view of the calls")
    agent = TextParameter(help_text="calls of this agent only")
    after = UuidParameter(help_text="transcript: the call after which the page starts")
    all = FlagParameter(help_text="true: show the complete texts")
    before = CursorParameter(help_text="calls: start of the page")
    sel = TextParameter(help_text="the selected call")


@page
def session(request: HtmxRequest, session_id: str) -> HttpResponse:
    parameters = SessionParameters.parse(request.GET)
    found = records.find_session(session_id)
    if found is None:
        return not_found(request, f"session {session_id}")
    tab = parameters.get("tab", TABS[0])
    read_tab = _calls if tab == "calls" else _transcript
    content = read_tab(request, found, parameters)
    if request.htmx.target == "older":
        return render(request, "dashboard/_calls_older.html", content)
    others = dict.fromkeys(TAB_PARAMETERS)
    context = {
        **content,
        "session": found,
        "tab": tab,
        "tabs_of_session": [(name, change_query(request, tab=name, **others)) for name in TABS],
        "agent": parameters.get("agent"),
        "agents": [(name, change_query(request, agent=name, **others)) for name in found.agents],
        "all_agents": change_query(request, agent=None, **others),
        "n_warned": records.calls_of(found).filter(WARNED).count(),
        "costs": costs_by_agent_and_model(found),
        "growth": cost_growth(found),
        "budget": _budget(found),
        "stops": _stops_of(found),
        "place": newest_position().text(),
    }
    return render(request, "dashboard/session.html", context)


def _transcript(
    request: HttpRequest, session: Session, parameters: dict[str, Any]
) -> dict[str, Any]:
    try:
        transcript = read_transcript(
            session, agent=parameters.get("agent"), after=parameters.get("after")
        )
    except Call.DoesNotExist:
        raise ValidationError({"after": ["the action_id of a call of this session"]}) from None
    return {
        "transcript": transcript,
        "next_url": change_query(request, after=str(transcript.next)) if transcript.next else None,
        "limit": MAX_TEXT_LIMIT if parameters.get("all") else TEXT_LIMIT,
        "all_url": change_query(request, all="true"),
    }


def _calls(request: HttpRequest, session: Session, parameters: dict[str, Any]) -> dict[str, Any]:
    filters = {"session": session.session_id}
    filters |= {"agent": parameters["agent"]} if "agent" in parameters else {}
    cursor = {"before": parameters["before"]} if "before" in parameters else {}
    found = read_calls_page({**filters, **cursor, "limit": PAGE_SIZE})
    older = change_query(request, before=found.older.text()) if found.older else None
    return {
        "page": found,
        "calls": found.calls,
        "older_url": older,
        "list_query": f"?{urlencode(filters)}",
    }


def _budget(session: Session) -> Standing | None:
    """Returns the standing of the session's own budget; None: it has none."""
    standings = current_standing(session.session_id, None, None)
    return next((one for one in standings if one.name == "budget_session"), None)


def _stops_of(session: Session) -> list[dict[str, Any]]:
    """Returns the stops in force that apply to calls of the session."""
    scopes = {("everything", ""), ("session", session.session_id)}
    scopes |= {("agent", name) for name in session.agents} | {
        ("user", name) for name in session.users
    }
    return [stop for stop in stops_in_force() if (stop["scope"], stop["value"]) in scopes]
