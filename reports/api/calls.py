"""Calls: those of a session, one call with its neighbours, its deletion."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.actors import actor_of
from capture.models import Call, Session
from capture.operations.deletion import delete_call
from reports.api.serializers import CallSerializer, ExplainedCallSerializer
from reports.api.streaming import stream
from reports.api.viewsets import LedgerViewSet
from reports.chunks import Piece, in_chunks
from reports.json_encoding import encode_in_pieces
from reports.output.call_json import FIELDS, call_json, selection_of
from reports.output.neighbours_json import neighbours_json
from reports.queries import records
from reports.queries.cursors import link
from reports.queries.neighbours import find_neighbours
from reports.queries.parameters import NamesParameter, NumberParameter, Parameters, TextParameter
from reports.queries.records import Record

JSON = "application/json"
# A browser's page is made in memory, and nobody reads more of it at once.
PAGE_LIMIT = 100
MAX_LIMIT = 10_000


class SessionCallsParameters(Parameters):
    limit = NumberParameter(
        lowest=1, highest=MAX_LIMIT, help_text="maximum number of calls; default: all"
    )
    after = TextParameter(
        help_text="the action_id or seq of a call: only calls after it, in time order"
    )
    fields = NamesParameter(
        FIELDS, help_text="comma-separated fields; each with a leading -: fields to leave out"
    )


class CallViewSet(LedgerViewSet[Call]):
    """Calls with their requests, responses, costs and durations."""

    detail_name = "one_call"
    routed_actions = ("destroy",)  # calls are read at /session/{session_id}, /explain/{action_id}
    lookup_url_kwarg = "action_id"
    lookup_value_converter = "path"
    queryset = Call.objects.not_deleted()
    serializer_class = CallSerializer
    filterset_classes = {"list": SessionCallsParameters}

    @extend_schema(responses=CallSerializer(many=True))
    def list(self, request: Request, session_id: str) -> HttpResponseBase:
        """Returns all calls of a session in time order, as a streamed list. `ETag` changes whenever
        the session's calls change."""
        session = records.find_session(session_id)
        if session is None:
            raise NotFound(f"there is no session {session_id!r}")
        etag = _etag(request, session)
        unchanged = get_conditional_response(request, etag=etag)
        if unchanged is not None:
            return unchanged
        response = _session_calls(request, session, self.parameters)
        response["ETag"] = etag
        return response

    @extend_schema(responses=ExplainedCallSerializer)
    def retrieve(self, request: Request, action_id: str) -> Response:
        """Returns one call with its request, response, cost and duration, and its neighbours."""
        record = _record(action_id)
        if record is None:
            raise _not_found(action_id)
        neighbours = neighbours_json(record.row["session_id"], find_neighbours(record))
        return Response({**call_json(record), **neighbours})

    @extend_schema(responses={204: OpenApiResponse(description="The call is deleted.")})
    def destroy(self, request: Request, action_id: str) -> Response:
        """Deletes one call. Its session's totals no longer include it; a session without other
        calls is deleted too."""
        id_ = _uuid(action_id)
        if id_ is None or not delete_call(actor_of(request), id_):
            raise _not_found(action_id)
        return Response(status=204)


def _etag(request: Request, session: Session) -> str:
    variant = f"{settings.VERSION} {request.get_full_path()} {request.accepted_media_type}"
    digest = hashlib.sha256(variant.encode()).hexdigest()[:16]
    return f'"{session.pk}-{session.revision}-{digest}"'


def _session_calls(
    request: Request, session: Session, parameters: dict[str, Any]
) -> HttpResponseBase:
    is_streamed = request.accepted_media_type == JSON
    limit = parameters.get("limit", None if is_streamed else PAGE_LIMIT)
    calls = records.calls_of(session)
    if "after" in parameters:
        calls = records.later_than(calls, _position(session, parameters["after"]))
    fields = frozenset(parameters["fields"]) if "fields" in parameters else None
    found = records.read_records(calls, selection_of(fields), limit=limit)
    values = (call_json(record, fields) for record in found)
    response = (
        stream(request, in_chunks(_array(values)), JSON) if is_streamed else Response(list(values))
    )
    if limit is not None and (link_to_next := _link(request, calls, limit)):
        response["Link"] = link_to_next
    return response


def _link(request: Request, calls: QuerySet[Call], limit: int) -> str | None:
    last = [*calls.values_list("pk", flat=True)[limit - 1 : limit + 1]]
    return link(request, "next", limit=limit, after=last[0]) if len(last) > 1 else None


def _position(session: Session, after: str) -> dict[str, Any]:
    """Returns the `timestamp` and `seq` of a call of the session. Raises ValidationError."""
    calls = Call.objects.in_session(session.pk)
    if after.isascii() and after.isdigit():
        found = calls.filter(seq=int(after)) if int(after) < 2**63 else None
    else:
        action_id = _uuid(after)
        found = calls.filter(pk=action_id) if action_id else None
    position = found.values("timestamp", "seq").first() if found is not None else None
    if position is None:
        raise ValidationError({"after": ["the action_id or seq of a call of this session"]})
    return dict(position)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _array(values: Iterator[Any]) -> Iterator[Piece]:
    """Yields the pieces of a JSON array."""
    yield b"["
    comma = b""
    for value in values:
        yield comma
        yield from encode_in_pieces(value)
        comma = b","
    yield b"]"


def _record(action_id: str) -> Record | None:
    id_ = _uuid(action_id)
    return records.find_record(id_, selection_of(None)) if id_ else None


def _not_found(action_id: str) -> NotFound:
    return NotFound(f"there is no call {action_id!r}")
