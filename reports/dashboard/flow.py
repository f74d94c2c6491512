"""Flow: who handed over to whom in a session, and what each agent took."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from capture.models import Call, Session
from reports.analysis.flow import Flow, Graph
from reports.analysis.handoffs import INFERRED, WHY
from reports.dashboard.errors import page
from reports.dashboard.flow_data import data_of, flow_data, flow_of, label_of
from reports.dashboard.session_picker import asked_for, chosen, unless_unchanged
from reports.queries import records
from reports.queries.call_list import short_calls
from reports.queries.parameters import Choice, Flag, Parameters, Text, Time

MODES = ("agg", "exp", "all")
CALLS_OF_NODE = 100
ROWS_OF_TABLE = 1000


class FlowParameters(Parameters):
    """Beside the session, what the page's own script reads."""

    session = Text()
    mode = Choice(MODES)
    node = Text()
    z = Text()


class SessionParameters(Parameters):
    session = Text()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "session" not in attrs:
            raise ValidationError({"session": ["a session's id"]})
        return attrs


class NodeParameters(SessionParameters):
    agent = Text()
    unnamed = Flag(help_text="the calls that name no agent")
    since = Time()
    until = Time()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("agent" in attrs) == attrs.get("unnamed", False):
            raise ValidationError({"agent": ["an agent's name, or unnamed=true"]})
        return super().validate(attrs)


@page
def flow(request: HttpRequest) -> HttpResponse:
    asked = FlowParameters.of_query(request.GET)
    found = chosen(asked.get("session"))
    session = found.session
    context: dict[str, Any] = {"chosen": found, "session": session, "mode": asked.get("mode")}
    if session is not None:
        drawn = flow_of(session)
        context |= {"data": data_of(drawn), **_table(drawn)}
    return render(request, "dashboard/flow.html", context, status=found.status_code)


def _table(drawn: Flow) -> dict[str, Any]:
    graph = drawn.by_agent
    return {
        "nodes": graph.nodes[:ROWS_OF_TABLE],
        "n_nodes": len(graph.nodes),
        "edges": _edges(graph),
        "n_edges": len(graph.edges),
    }


def _edges(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "source": label_of(graph.nodes[edge.source].name),
            "target": label_of(graph.nodes[edge.target].name),
            "count": edge.count,
            "why": WHY[edge.why],
            "is_inferred": edge.why in INFERRED,
        }
        for edge in graph.edges[:ROWS_OF_TABLE]
    ]


@extend_schema(exclude=True)
@api_view(["GET", "HEAD"])
def flow_json(request: Request) -> HttpResponseBase:
    session = asked_for(SessionParameters.of(request)["session"])
    return unless_unchanged(request, session, flow_data)


@page
def node_calls(request: HttpRequest) -> HttpResponse:
    """The calls of a node as a piece of the page."""
    asked = NodeParameters.of_query(request.GET)
    session = records.session(asked["session"])
    if session is None:
        return HttpResponse(status=404)
    calls = _calls(session, asked)
    n_calls = calls.count()
    context = {
        "calls": short_calls(calls[:CALLS_OF_NODE]),
        "n_calls": n_calls,
        "n_shown": min(n_calls, CALLS_OF_NODE),
        "session": session,
        "agent": asked.get("agent"),
    }
    return render(request, "dashboard/_node_calls.html", context)


def _calls(session: Session, asked: dict[str, Any]) -> QuerySet[Call]:
    calls = records.calls_of(session).filter(agent_name=asked.get("agent"))
    if "since" in asked:
        calls = calls.filter(timestamp__gte=asked["since"])
    if "until" in asked:
        calls = calls.filter(timestamp__lte=asked["until"])
    return calls
