"""The session that a page shows: the one that is asked for, else the latest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from agentledger_site.conf import VERSION
from capture.models import Session
from reports.queries import records
from reports.queries.ledger_position import newest_position
from reports.queries.session_calls import MOST_CALLS

N_OTHERS = 30


@dataclass(frozen=True, slots=True)
class Chosen:
    session: Session | None
    asked: str | None  # None: it is the latest
    others: list[str]  # the latest sessions, to choose from
    place: str  # what came later, the feed tells

    @property
    def n_left_out(self) -> int:
        """Calls that are more than a picture shows."""
        return max(0, self.session.call_count - MOST_CALLS) if self.session else 0

    @property
    def status_code(self) -> int:
        return 404 if self.asked and self.session is None else 200


def chosen(asked: str | None) -> Chosen:
    place = newest_position().text()
    latest = Session.objects.not_deleted().order_by("-last_call_at", "-id")
    others = list(latest.values_list("session_id", flat=True)[:N_OTHERS])
    session = records.session(asked) if asked else latest.first()
    return Chosen(session, asked, others, place)


def asked_for(session_id: str) -> Session:
    session = records.session(session_id)
    if session is None:
        raise NotFound(f"there is no session {session_id!r}")
    return session


def unless_unchanged(
    request: Request, session: Session, data: Callable[[Session], Any]
) -> HttpResponseBase:
    """`data(session)`, unless the reader has it already."""
    etag = f'"{session.pk}-{session.revision}-{VERSION}"'
    unchanged = get_conditional_response(request._request, etag=etag)
    if unchanged is not None:
        return unchanged
    response = Response(data(session))
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response
