"""What the ledger answers: JSON for programs, the browsable API for browsers."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from agentledger_site.access.middleware import may_read
from agentledger_site.conf import VERSION
from reports import queries
from reports.readiness import readiness
from reports.shapes import call_json, session_json

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
READ = ["GET", "HEAD"]


@api_view(READ)
def index(request: Request) -> Response:
    """AgentLedger records the calls that agents send through it. Point an agent at a base URL, send
    a call, and read it here."""
    base = request.build_absolute_uri("/")
    return Response(
        {
            "version": VERSION,
            "openai_base_url": f"{base}v1",
            "anthropic_base_url": base.rstrip("/"),
            "sessions": f"{base}api/sessions",
            "health": f"{base}health",
            "readiness": f"{base}readyz",
        }
    )


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok", "version": VERSION})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """503 only when new calls would be refused or go unrecorded."""
    state = readiness()
    facts = state.facts if may_read(request) else {}
    return JsonResponse({"status": state.status, **facts}, status=state.status_code)


@api_view(READ)
def sessions(request: Request) -> Response:
    """Sessions with their totals, the one with the newest call first. `limit` and `offset` page;
    `X-Total-Count` says how many there are, `Link` where the other pages are."""
    limit = _number(request, "limit", DEFAULT_LIMIT, lowest=1, highest=MAX_LIMIT)
    offset = _number(request, "offset", 0, lowest=0, highest=2**53)
    found = queries.sessions()
    total = found.count()
    response = Response([session_json(session) for session in found[offset : offset + limit]])
    response["X-Total-Count"] = str(total)
    links = _links(request, limit, offset, total)
    if links:
        response["Link"] = links
    return response


@api_view(READ)
def session(request: Request, session_id: str) -> Response:
    """All calls of a session in time order."""
    found = queries.session(session_id)
    if found is None:
        raise NotFound(f"there is no session {session_id!r}")
    return Response([call_json(record) for record in queries.records_of(found)])


@api_view(READ)
def explain(request: Request, action_id: str) -> Response:
    """One call: what was asked, what came back, what it took."""
    try:
        record = queries.record(UUID(action_id))
    except ValueError:
        record = None
    if record is None:
        raise NotFound(f"there is no call {action_id!r}")
    return Response(call_json(record))


def _number(request: Request, name: str, default: int, *, lowest: int, highest: int) -> int:
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) < 17 and lowest <= int(text) <= highest:
        return int(text)
    raise ValidationError({name: [f"a whole number from {lowest} to {highest}"]})


def _links(request: Request, limit: int, offset: int, total: int) -> str:
    """RFC 8288: `<…>; rel="next"`."""
    pages = {}
    if offset + limit < total:
        pages["next"] = offset + limit
    if offset > 0:
        pages["prev"] = max(0, offset - limit)
    url = request.build_absolute_uri(request.path)
    return ", ".join(
        f'<{url}?{urlencode({"limit": limit, "offset": start})}>; rel="{relation}"'
        for relation, start in pages.items()
    )
