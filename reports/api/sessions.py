"""/api/sessions: the list of sessions, one session, its annotations, its deletion."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from access.actors import actor_of
from capture.models import Session
from capture.operations.annotations import annotate
from capture.operations.deletion import delete_session
from reports.api.pagination import SessionPagination
from reports.api.serializers import SessionChangesSerializer, SessionSerializer
from reports.api.viewsets import LedgerViewSet
from reports.output.call_json import session_json
from reports.queries import records
from reports.queries.session_list import SessionsParameters


class SessionViewSet(ListModelMixin, LedgerViewSet[Session]):
    """Sessions with their totals, the session with the most recent call first."""

    list_name, detail_name = "sessions", "one_session"
    lookup_url_kwarg = "session_id"
    lookup_value_converter = "session"  # a session's id may contain slashes
    queryset = Session.objects.not_deleted()
    serializer_class = SessionSerializer
    pagination_class = SessionPagination
    filterset_classes = {"list": SessionsParameters}

    def list(self, request: Request) -> Response:
        """Returns sessions with their totals. `X-Total-Count` is their number, and `Link` has the
        next page, which starts after the last session of this one even if new calls arrive."""
        return super().list(request)

    def retrieve(self, request: Request, session_id: str) -> Response:
        """Returns one session with its totals, labels and note."""
        session = records.find_session(session_id)
        if session is None:
            raise _not_found(session_id)
        return Response(session_json(session))

    @extend_schema(request=SessionChangesSerializer)
    def partial_update(self, request: Request, session_id: str) -> Response:
        """Sets any of the session's `labels`, `note` and `pinned`."""
        serializer = SessionChangesSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if not serializer.validated_data:
            raise ValidationError({"detail": [f"one of {', '.join(serializer.fields)}"]})
        session = None
        if "\0" not in session_id:
            session = annotate(actor_of(request), session_id, serializer.validated_data)
        if session is None:
            raise _not_found(session_id)
        return Response(session_json(session))

    @extend_schema(responses={204: OpenApiResponse(description="The session is deleted.")})
    def destroy(self, request: Request, session_id: str) -> Response:
        """Deletes the session and all its calls, including those that are still running. They are
        hidden at once, and their texts are erased from disk within minutes."""
        if "\0" in session_id or not delete_session(actor_of(request), session_id):
            raise _not_found(session_id)
        return Response(status=204)


def _not_found(session_id: str) -> NotFound:
    return NotFound(f"there is no session {session_id!r}")
