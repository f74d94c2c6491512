"""The stop switch for programs: which stops there are, one more, one less."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from access.actors import actor_of
from capture.models import FIELD_LENGTH, NAME_LENGTH, Stop
from capture.operations.stops import lift, stop
from capture.proxy import runtime
from reports.queries.parameters import Parameters, Text

MOST = 1000


class StopSerializer(serializers.ModelSerializer[Stop]):
    class Meta:
        model = Stop
        fields = ("id", "scope", "value", "reason", "who", "created_at", "lifted_at")

    def to_representation(self, instance: Stop) -> dict[str, Any]:
        return {**super().to_representation(instance), "value": instance.value or None}


class NewStop(serializers.Serializer[Any]):
    """What a POST may say; `value` is the session, agent or user."""

    scope = serializers.ChoiceField(Stop.SCOPES)
    value = serializers.CharField(max_length=FIELD_LENGTH, allow_null=True, required=False)
    reason = serializers.CharField(max_length=2000)
    who = serializers.CharField(max_length=NAME_LENGTH, allow_null=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["value"] = attrs.get("value") or ""
        if (attrs["scope"] == Stop.EVERYTHING) == bool(attrs["value"]):
            accepted = "none for everything, else the session, agent or user to stop"
            raise serializers.ValidationError({"value": [accepted]})
        return attrs


class StopsParameters(Parameters):
    all = Text(help_text="1: those that were lifted too")


@extend_schema(parameters=[StopsParameters], request=NewStop, responses=StopSerializer(many=True))
@api_view(["GET", "HEAD", "POST"])
def stops(request: Request) -> Response:
    """The stops in force, the newest first; with `?all=1` those that were lifted too, at most 1000.
    POST `{"scope": "session", "value": "run-1", "reason": "…", "who": "…"}` stops one session;
    the other scopes are `agent`, `user` and, without a value, `everything`."""
    asked = StopsParameters.of(request)
    if request.method == "POST":
        return _add(request)
    found = Stop.objects.all() if asked.get("all") else Stop.objects.in_force()
    return Response(StopSerializer(found.order_by("-id")[:MOST], many=True).data)


def _add(request: Request) -> Response:
    asked = NewStop(data=request.data)
    asked.is_valid(raise_exception=True)
    facts = asked.validated_data
    made, is_new = stop(
        actor_of(request),
        facts["scope"],
        facts["value"],
        reason=facts["reason"],
        who=facts.get("who"),
    )
    _tell()
    return Response(StopSerializer(made).data, status=201 if is_new else 200)


@extend_schema(responses=StopSerializer)
@api_view(["DELETE"])
def one_stop(request: Request, stop_id: int) -> Response:
    """Lift a stop; to lift it again changes nothing."""
    Parameters.none(request)
    lifted = lift(actor_of(request), stop_id)
    if lifted is None:
        raise NotFound(f"there is no stop {stop_id}")
    _tell()
    return Response(StopSerializer(lifted).data)


def _tell() -> None:
    """This process knows at once; the others read it within half a second."""
    process = runtime.current()
    if process is not None:
        process.admission.stops.read_now()
