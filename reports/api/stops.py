"""/api/stops: the stops in force, a new stop, and the end of one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from access.actors import actor_of
from capture.models import Stop
from capture.operations.stops import lift, stop
from capture.proxy import runtime
from reports.api.pagination import NewestStops
from reports.api.serializers import NewStopSerializer, StopSerializer
from reports.api.viewsets import LedgerViewSet
from reports.queries.parameters import Parameters, TextParameter


class StopsParameters(Parameters):
    all = TextParameter(help_text="1: include stops that were lifted")

    def filter_queryset(self, queryset: Any) -> Any:
        return queryset if "all" in self.values else queryset.in_force()


class StopViewSet(ListModelMixin, LedgerViewSet[Stop]):
    """Returns the stops in force, newest first; with `?all=1` also lifted ones, at most 1000.
    POST `{"scope": "session", "value": "run-1", "reason": "…", "who": "…"}` stops one session;
    the other scopes are `agent`, `user` and, without a value, `everything`."""

    list_name, detail_name = "stops", "one_stop"
    lookup_url_kwarg = "stop_id"
    lookup_value_converter = "int"
    queryset = Stop.objects.order_by("-id")
    serializer_class = StopSerializer
    pagination_class = NewestStops
    filterset_classes = {"list": StopsParameters, "create": StopsParameters}

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return NewStopSerializer if self.action == "create" else StopSerializer

    @extend_schema(responses={201: StopSerializer, 200: StopSerializer})
    def create(self, request: Request) -> Response:
        """Stops a session, an agent, a user, or everything. The response is 200 if the same stop is
        already in force, else 201."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        made, is_new = stop(
            actor_of(request),
            values["scope"],
            values["value"],
            reason=values["reason"],
            who=values.get("who"),
        )
        _apply_now()
        return Response(StopSerializer(made).data, status=201 if is_new else 200)

    @extend_schema(responses={200: StopSerializer})
    def destroy(self, request: Request, stop_id: int) -> Response:
        """Lifts a stop. Lifting it again changes nothing."""
        lifted = lift(actor_of(request), stop_id)
        if lifted is None:
            raise NotFound(f"there is no stop {stop_id}")
        _apply_now()
        return Response(StopSerializer(lifted).data)


def _apply_now() -> None:
    """Makes this process apply the stops at once; the others read them within half a second."""
    process = runtime.current()
    if process is not None:
        process.watch.ask_now()
