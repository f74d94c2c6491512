"""The session that Flow and Trace show: the requested one, otherwise the latest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from capture.ledger.changes import newest_position
from capture.models import Session
from reports.queries import records
from reports.queries.session_calls import MAX_CALLS

N_OTHERS = 30


@dataclass(frozen=True, slots=True)
class SessionChoice:
    session: Session | None
    requested: str | None  # a session's id; None: the session is the latest
    others: list[str]  # ids of the latest sessions, to choose from
    place: str  # the position in the ledger from which the live feed continues

    @property
    def n_left_out(self) -> int:
        """The number of calls beyond those that a picture shows."""
        return max(0, self.session.call_count - MAX_CALLS) if self.session else 0

    @property
    def status_code(self) -> int:
        return 404 if self.requested and self.session is None else 200


def choose_session(requested: str | None) -> SessionChoice:
    place = newest_position().text()
    latest = Session.objects.not_deleted().order_by("-last_call_at", "-id")
    others = list(latest.values_list("session_id", flat=True)[:N_OTHERS])
    session = records.find_session(requested) if requested else latest.first()
    return SessionChoice(session, requested, others, place)


def session_or_404(session_id: str) -> Session:
    session = records.find_session(session_id)
    if session is None:
        raise NotFound(f"there is no session {session_id!r}")
    return session


def conditional_response(
    request: Request, session: Session, data: Callable[[Session], Any]
) -> HttpResponseBase:
    """Returns `data(session)`, or 304 when the client has the session's current revision."""
    etag = f'"{session.pk}-{session.revision}-{settings.VERSION}"'
    not_modified = get_conditional_response(request._request, etag=etag)
    if not_modified is not None:
        return not_modified
    response = Response(data(session))
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response
