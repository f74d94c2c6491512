"""The page of one session: its conversation, or its calls as a list."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Sum
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
from reports.verification.some_calls import Verified, verify_calls

TABS = ("transcript", "calls")
# Characters of one text: as many as a page shows at first, and with `all`.
TEXT_LIMIT, MAX_TEXT_LIMIT = 8_000, 10_000_000
# Parameters that belong to one tab alone.
TAB_PARAMETERS = ("after", "before", "all", "sel")


# Calls, and bytes of their bodies, that each view of a session verifies: it takes 0.1 s.
VERIFIED_AT_ONCE, VERIFIED_BYTES = 200, 8 * 1024 * 1024
MAX_VERIFIED = 5_000


class SessionParameters(Parameters):
    tab = ChoiceParameter(TABS, help_text="the view of the calls")
    agent = TextParameter(help_text="calls of this agent only")
    after = UuidParameter(help_text="transcript: the call after which the page starts")
    all = FlagParameter(help_text="true: show the complete texts")
    before = CursorParameter(help_text="calls: start of the page")
    sel = TextParameter(help_text="the selected call")
    verify = FlagParameter(help_text="true: verify the calls, however many they are")


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
        "verified": _verify(found, is_asked=bool(parameters.get("verify"))),
        "verify_url": change_query(request, verify="true"),
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


def _verify(session: Session, *, is_asked: bool) -> Verified | None:
    """Verifies a short session at once, and a long one if it is asked for; None: not now."""
    calls = records.calls_of(session)
    if not is_asked:
        size = calls.order_by().aggregate(
            n=Count("pk"), request=Sum("request_bytes"), response=Sum("response_bytes")
        )
        n_bytes = (size["request"] or 0) + (size["response"] or 0)
        if size["n"] > VERIFIED_AT_ONCE or n_bytes > VERIFIED_BYTES:
            return None
    return verify_calls(list(calls.values_list("pk", flat=True)[:MAX_VERIFIED]))


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
