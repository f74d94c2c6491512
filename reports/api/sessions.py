"""Sessions for programs: which there are, one of them, what readers give it, its deletion."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.actors import actor_of
from capture.models import Session
from capture.operations.annotations import annotate
from capture.operations.deletion import delete_session
from reports.api.filter_form import ParametersForm
from reports.output.call_json import SESSION_FIELDS, session_json
from reports.queries import records
from reports.queries.cursors import link
from reports.queries.parameters import Parameters, refuse_unknown
from reports.queries.session_list import Page, SessionsParameters, page

MAX_LABELS = 50
MAX_LABEL = 100
MAX_NOTE = 10_000


class SessionSerializer(serializers.ModelSerializer[Session]):
    class Meta:
        model = Session
        fields = SESSION_FIELDS

    def to_representation(self, instance: Session) -> dict[str, Any]:
        return session_json(instance)


class SessionChanges(serializers.Serializer[Any]):
    """What a PATCH may say: what is left out stays as it is."""

    labels = serializers.ListField(
        child=serializers.CharField(max_length=MAX_LABEL), max_length=MAX_LABELS, required=False
    )
    note = serializers.CharField(
        max_length=MAX_NOTE, allow_null=True, allow_blank=True, required=False
    )
    pinned = serializers.BooleanField(required=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            refuse_unknown(data, self.fields)
        return super().to_internal_value(data)

    def validate_labels(self, labels: list[str]) -> list[str]:
        return list(dict.fromkeys(labels))

    def validate_note(self, note: str | None) -> str | None:
        return note or None


class SessionViewSet(viewsets.GenericViewSet[Session]):
    """Sessions with their totals, the one with the newest call first."""

    serializer_class = SessionSerializer
    filter_backends = [ParametersForm]
    parameters = SessionsParameters
    pagination_class = None

    def get_queryset(self) -> QuerySet[Session]:
        return Session.objects.not_deleted()

    @extend_schema(parameters=[SessionsParameters])
    def list(self, request: Request) -> Response:
        """Sessions with their totals. `X-Total-Count` says how many there are, `Link` where the
        next page is: behind the last session of this one, whatever was called meanwhile."""
        asked = SessionsParameters.of(request)
        found = page(asked)
        response = Response([session_json(session) for session in found.sessions])
        response["X-Total-Count"] = str(found.total)
        if links := _links(request, asked, found):
            response["Link"] = links
        return response

    def retrieve(self, request: Request, session_id: str) -> Response:
        """One session with its totals, labels and note."""
        Parameters.none(request)
        session = records.session(session_id)
        if session is None:
            raise _not_found(session_id)
        return Response(session_json(session))

    @extend_schema(request=SessionChanges)
    def partial_update(self, request: Request, session_id: str) -> Response:
        """Set the session's `labels`, `note`, `pinned`, or some of them."""
        Parameters.none(request)
        asked = SessionChanges(data=request.data)
        asked.is_valid(raise_exception=True)
        if not asked.validated_data:
            raise ValidationError({"detail": [f"one of {', '.join(asked.fields)}"]})
        session = None
        if "\0" not in session_id:
            session = annotate(actor_of(request), session_id, asked.validated_data)
        if session is None:
            raise _not_found(session_id)
        return Response(session_json(session))

    @extend_schema(responses={204: OpenApiResponse(description="It is gone")})
    def destroy(self, request: Request, session_id: str) -> Response:
        """Delete the session and all its calls, those that are still running included. Nothing
        shows them from now on; their texts leave the disk within minutes."""
        Parameters.none(request)
        if "\0" in session_id or not delete_session(actor_of(request), session_id):
            raise _not_found(session_id)
        return Response(status=204)


def _not_found(session_id: str) -> NotFound:
    return NotFound(f"there is no session {session_id!r}")


def _links(request: Request, asked: dict[str, Any], found: Page) -> str:
    if "offset" not in asked:
        return link(request, "next", cursor=found.next.text()) if found.next else ""
    limit, offset = asked["limit"], asked["offset"]
    links = []
    if found.next:
        links.append(link(request, "next", limit=limit, offset=offset + limit))
    if offset > 0:
        links.append(link(request, "prev", limit=limit, offset=max(0, offset - limit)))
    return ", ".join(links)
