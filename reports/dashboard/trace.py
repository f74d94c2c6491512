"""Trace: a session's calls on one time axis, each below what led to it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request

from reports.dashboard.errors import page
from reports.dashboard.flow import SessionParameters
from reports.dashboard.session_picker import asked_for, chosen, unless_unchanged
from reports.dashboard.trace_data import trace_data
from reports.queries import records
from reports.queries.call_list import short_calls
from reports.queries.parameters import Flag, Number, Parameters, Text

# For readers without scripts, and for paper.
ROWS_OF_TABLE = 100
FAR = 2**53


class TraceParameters(Parameters):
    """Beside the session, what the page's own script reads."""

    session = Text()
    sel = Text()
    t0 = Number(lowest=0, highest=FAR)
    t1 = Number(lowest=0, highest=FAR)
    collapsed = Text(longest=10_000)
    focus = Text()
    q = Text()
    crit = Flag()


@page
def trace(request: HttpRequest) -> HttpResponse:
    asked = TraceParameters.of_query(request.GET)
    found = chosen(asked.get("session"))
    context: dict[str, Any] = {"chosen": found, "session": found.session}
    if found.session is not None:
        calls = records.calls_of(found.session)
        context["calls"] = short_calls(calls[:ROWS_OF_TABLE])
    return render(request, "dashboard/trace.html", context, status=found.status_code)


@extend_schema(exclude=True)
@api_view(["GET", "HEAD"])
def trace_json(request: Request) -> HttpResponseBase:
    session = asked_for(SessionParameters.of(request)["session"])
    return unless_unchanged(request, session, trace_data)
