"""The Flow page: a session's agents, the handoffs between them, and what each agent used."""

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
from reports.dashboard.flow_data import flow_data, flow_json_data, node_label, read_flow
from reports.dashboard.session_picker import choose_session, conditional_response, session_or_404
from reports.queries import records
from reports.queries.call_list import short_calls
from reports.queries.parameters import (
    ChoiceParameter,
    FlagParameter,
    Parameters,
    TextParameter,
    TimeParameter,
)

MODES = ("agg", "exp", "all")
MAX_NODE_CALLS = 100
MAX_TABLE_ROWS = 1000


class FlowParameters(Parameters):
    """The session; the other parameters are for the page's own script."""

    session = TextParameter()
    mode = ChoiceParameter(MODES)
    node = TextParameter()
    z = TextParameter()


class RequiredSessionParameters(Parameters):
    session = TextParameter()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "session" not in attrs:
            raise ValidationError({"session": ["a session's id"]})
        return attrs


class NodeParameters(RequiredSessionParameters):
    agent = TextParameter()
    unnamed = FlagParameter(help_text="true: the calls without an agent name")
    since = TimeParameter()
    until = TimeParameter()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("agent" in attrs) == attrs.get("unnamed", False):
            raise ValidationError({"agent": ["an agent's name, or unnamed=true"]})
        return super().validate(attrs)


@page
def flow(request: HttpRequest) -> HttpResponse:
    parameters = FlowParameters.parse(request.GET)
    choice = choose_session(parameters.get("session"))
    session = choice.session
    context: dict[str, Any] = {
        "choice": choice,
        "session": session,
        "mode": parameters.get("mode"),
    }
    if session is not None:
        found = read_flow(session)
        context |= {"data": flow_json_data(found), **_table(found)}
    return render(request, "dashboard/flow.html", context, status=choice.status_code)


def _table(flow: Flow) -> dict[str, Any]:
    graph = flow.by_agent
    return {
        "nodes": graph.nodes[:MAX_TABLE_ROWS],
        "n_nodes": len(graph.nodes),
        "edges": _edges(graph),
        "n_edges": len(graph.edges),
    }


def _edges(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "source": node_label(graph.nodes[edge.source].name),
            "target": node_label(graph.nodes[edge.target].name),
            "count": edge.count,
            "why": WHY[edge.why],
            "is_inferred": edge.why in INFERRED,
        }
        for edge in graph.edges[:MAX_TABLE_ROWS]
    ]


@extend_schema(exclude=True)
@api_view(["GET", "HEAD"])
def flow_json(request: Request) -> HttpResponseBase:
    session = session_or_404(RequiredSessionParameters.parse(request.query_params)["session"])
    return conditional_response(request, session, flow_data)


@page
def node_calls(request: HttpRequest) -> HttpResponse:
    """Returns the part of the page that lists a node's calls."""
    parameters = NodeParameters.parse(request.GET)
    session = records.find_session(parameters["session"])
    if session is None:
        return HttpResponse(status=404)
    calls = _calls(session, parameters)
    n_calls = calls.count()
    context = {
        "calls": short_calls(calls[:MAX_NODE_CALLS]),
        "n_calls": n_calls,
        "n_shown": min(n_calls, MAX_NODE_CALLS),
        "session": session,
        "agent": parameters.get("agent"),
    }
    return render(request, "dashboard/_node_calls.html", context)


def _calls(session: Session, parameters: dict[str, Any]) -> QuerySet[Call]:
    calls = records.calls_of(session).filter(agent_name=parameters.get("agent"))
    if "since" in parameters:
        calls = calls.filter(timestamp__gte=parameters["since"])
    if "until" in parameters:
        calls = calls.filter(timestamp__lte=parameters["until"])
    return calls
