"""Where budgets and limits stand."""

from __future__ import annotations

import dataclasses

from asgiref.sync import async_to_sync
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from capture.admission.decision import Keys
from capture.proxy import runtime
from reports.queries.parameters import Parameters, Text


class LimitsParameters(Parameters):
    session_id = Text(help_text="its budgets and limits too")
    agent_name = Text(help_text="its budgets and limits too")
    user_id = Text(help_text="its budgets and limits too")
    ingest_token = Text(help_text="the name of one: its budget too")


@extend_schema(parameters=[LimitsParameters], responses=OpenApiTypes.OBJECT)
@api_view(["GET", "HEAD"])
def limits(request: Request) -> Response:
    """Every budget (in USD) and rate limit (in calls) that is configured: of all calls, and those
    of the `session_id`, `agent_name`, `user_id` and `ingest_token` that are asked for."""
    asked = LimitsParameters.of(request)
    process = runtime.current()
    if process is None:
        return Response([])
    keys = Keys(
        session_id=asked.get("session_id"),
        agent_name=asked.get("agent_name"),
        user_id=asked.get("user_id"),
        token=process.admission.ingest.tokens.budget_of(asked.get("ingest_token")),
    )
    # The state belongs to the event loop of the calls, not to this thread.
    standing = async_to_sync(process.admission.state.standing)(keys)
    return Response([dataclasses.asdict(one) for one in standing])
