"""Calls for programs: those of a session, one with what surrounds it, its deletion."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import viewsets
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.actors import actor_of
from capture.models import Call, Session
from capture.operations.deletion import delete_call
from reports.api.serializers import CallSerializer, ExplainedCallSerializer
from reports.json_encoding import encode_in_pieces
from reports.output.call_json import FIELDS, call_json, wanted
from reports.output.neighbours_json import neighbours_json
from reports.queries import records as queries
from reports.queries.cursors import link
from reports.queries.neighbours import find_neighbours
from reports.queries.parameters import Names, Number, Parameters, Text
from reports.queries.records import Record

JSON = "application/json"
# A browser's page is made in memory, and nobody reads more of it at once.
PAGE_LIMIT = 100
MAX_LIMIT = 10_000
# Each piece of a streamed answer costs a change of threads.
PIECE = 512 * 1024


class CallsParameters(Parameters):
    limit = Number(lowest=1, highest=MAX_LIMIT, help_text="calls at most; without it, all")
    after = Text(help_text="the action_id or seq of a call: those after it, in time order")
    # No attribute of the class afterwards, which has another `fields`.
    fields = Names(  # type: ignore[assignment]
        FIELDS, help_text="names of fields, comma-separated; or of those to leave out: -messages"
    )


class SessionCallsViewSet(viewsets.ViewSet):
    @extend_schema(parameters=[CallsParameters], responses=CallSerializer(many=True))
    def list(self, request: Request, session_id: str) -> HttpResponseBase:
        """All calls of a session in time order, as a list that is sent while it is read. `ETag`
        changes when the session's calls do."""
        asked = CallsParameters.of(request)
        session = queries.session(session_id)
        if session is None:
            raise NotFound(f"there is no session {session_id!r}")
        etag = _etag(request, session)
        unchanged = get_conditional_response(request, etag=etag)
        if unchanged is not None:
            return unchanged
        response = _calls(request, session, asked)
        response["ETag"] = etag
        return response


def _etag(request: Request, session: Session) -> str:
    asked = f"{settings.VERSION} {request.get_full_path()} {request.accepted_media_type}"
    return f'"{session.pk}-{session.revision}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"'


def _calls(request: Request, session: Session, asked: dict[str, Any]) -> HttpResponseBase:
    streamed = request.accepted_media_type == JSON
    limit = asked.get("limit", None if streamed else PAGE_LIMIT)
    calls = queries.calls_of(session)
    if "after" in asked:
        calls = queries.behind(calls, _place(session, asked["after"]))
    fields = frozenset(asked["fields"]) if "fields" in asked else None
    records = queries.records(calls, wanted(fields), limit=limit)
    if streamed:
        pieces = _pieces(call_json(record, fields) for record in records)
        begin = next(pieces)  # an error of the first page is still an answer of its own
        response: HttpResponseBase = (
            HttpResponse(content_type=JSON)
            if request.method == "HEAD"
            else StreamingHttpResponse(_in_thread(begin, pieces), content_type=JSON)
        )
    else:
        response = Response([call_json(record, fields) for record in records])
    if limit is not None:
        last = list(calls.values_list("pk", flat=True)[limit - 1 : limit + 1])
        if len(last) > 1:
            response["Link"] = link(request, "next", limit=limit, after=last[0])
    return response


def _place(session: Session, after: str) -> dict[str, Any]:
    calls = Call.objects.filter(session=session, deleted_at=None)
    if after.isascii() and after.isdigit():
        found = calls.filter(seq=int(after)) if int(after) < 2**63 else None
    else:
        action_id = _uuid(after)
        found = calls.filter(pk=action_id) if action_id else None
    place = found.values("timestamp", "seq").first() if found is not None else None
    if place is None:
        raise ValidationError({"after": ["the action_id or seq of a call of this session"]})
    return dict(place)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _pieces(values: Iterator[Any]) -> Iterator[bytes]:
    """A JSON array."""
    waiting: list[bytes | memoryview] = [b"["]
    size = 0
    comma = b""
    for value in values:
        encoded = encode_in_pieces(value)
        waiting += (comma, *encoded)
        comma = b","
        size += sum(map(len, encoded))
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join([*waiting, b"]"])


async def _in_thread(begin: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """In the request's own thread, where its database connection is."""
    yield begin
    next_piece = sync_to_async(partial(next, pieces, None))
    while (piece := await next_piece()) is not None:
        yield piece


class CallViewSet(viewsets.ViewSet):
    @extend_schema(responses=ExplainedCallSerializer)
    def retrieve(self, request: Request, action_id: str) -> Response:
        """One call: what was asked, what came back, what it took, and what surrounds it."""
        Parameters.none(request)
        record = _record(action_id)
        if record is None:
            raise _not_found(action_id)
        neighbours = neighbours_json(record.row["session_id"], find_neighbours(record))
        return Response({**call_json(record), **neighbours})

    @extend_schema(responses={204: OpenApiResponse(description="It is gone")})
    def destroy(self, request: Request, action_id: str) -> Response:
        """Delete one call. Its session's totals are without it; a session without another call goes
        with it."""
        Parameters.none(request)
        id_ = _uuid(action_id)
        if id_ is None or not delete_call(actor_of(request), id_):
            raise _not_found(action_id)
        return Response(status=204)


def _record(action_id: str) -> Record | None:
    id_ = _uuid(action_id)
    return queries.record(id_, wanted(None)) if id_ else None


def _not_found(action_id: str) -> NotFound:
    return NotFound(f"there is no call {action_id!r}")
