"""GET /api/limits: the budgets and rate limits, and how much of them is used."""

from __future__ import annotations

import dataclasses

from asgiref.sync import async_to_sync
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from capture.admission.decision import Keys
from capture.models import Call
from capture.proxy import runtime
from reports.api.serializers import StandingSerializer
from reports.api.viewsets import LedgerViewSet
from reports.queries.parameters import Parameters, TextParameter


class LimitsParameters(Parameters):
    session_id = TextParameter(help_text="include the budgets and limits of this session")
    agent_name = TextParameter(help_text="include the budgets and limits of this agent")
    user_id = TextParameter(help_text="include the budgets and limits of this user")
    ingest_token = TextParameter(help_text="include the budget of the ingest token of this name")


class LimitsViewSet(LedgerViewSet[Call]):
    """Returns the configured budgets (in USD) and rate limits (in calls): those that apply to all
    calls, and those of the given `session_id`, `agent_name`, `user_id` and `ingest_token`."""

    list_name = "limits"
    queryset = Call.objects.none()
    serializer_class = StandingSerializer
    filterset_classes = {"list": LimitsParameters}

    @extend_schema(responses=StandingSerializer(many=True))
    def list(self, request: Request) -> Response:
        process = runtime.current()
        if process is None:
            return Response([])
        keys = Keys(
            session_id=self.parameters.get("session_id"),
            agent_name=self.parameters.get("agent_name"),
            user_id=self.parameters.get("user_id"),
            token=process.admission.ingest.tokens.budget_of(self.parameters.get("ingest_token")),
        )
        # The state belongs to the event loop of the calls, not to this thread.
        standing = async_to_sync(process.admission.state.standing)(keys)
        return Response([dataclasses.asdict(one) for one in standing])
