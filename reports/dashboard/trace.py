"""The Trace page: a session's calls on one time axis, each below the call that led to it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request

from reports.dashboard.errors import page
from reports.dashboard.flow import RequiredSessionParameters
from reports.dashboard.session_picker import choose_session, conditional_response, session_or_404
from reports.dashboard.trace_data import trace_data
from reports.queries import records
from reports.queries.call_list import short_calls
from reports.queries.parameters import FlagParameter, NumberParameter, Parameters, TextParameter

# For browsers without JavaScript, and for print.
MAX_TABLE_ROWS = 100
MAX_MS = 2**53


class TraceParameters(Parameters):
    """The session; the other parameters are for the page's own script."""

    session = TextParameter()
    sel = TextParameter()
    t0 = NumberParameter(lowest=0, highest=MAX_MS)
    t1 = NumberParameter(lowest=0, highest=MAX_MS)
    collapsed = TextParameter(longest=10_000)
    focus = TextParameter()
    q = TextParameter()
    crit = FlagParameter()


@page
def trace(request: HttpRequest) -> HttpResponse:
    parameters = TraceParameters.parse(request.GET)
    choice = choose_session(parameters.get("session"))
    context: dict[str, Any] = {"choice": choice, "session": choice.session}
    if choice.session is not None:
        calls = records.calls_of(choice.session)
        context["calls"] = short_calls(calls[:MAX_TABLE_ROWS])
    return render(request, "dashboard/trace.html", context, status=choice.status_code)


@extend_schema(exclude=True)
@api_view(["GET", "HEAD"])
def trace_json(request: Request) -> HttpResponseBase:
    session = session_or_404(RequiredSessionParameters.parse(request.query_params)["session"])
    return conditional_response(request, session, trace_data)
