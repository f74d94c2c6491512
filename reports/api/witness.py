"""/witness/: this AgentLedger as the witness of other logs (c2sp.org/tlog-witness)."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from capture.evidence.witness import MAX_BODY
from reports.evidence import witness


@require_POST
def add_checkpoint(request: HttpRequest) -> HttpResponse:
    if not settings.AGENTLEDGER.witness_for:
        return _text(404, "this is no witness: AGENTLEDGER_WITNESS_FOR names no logs\n")
    body = request.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        return _text(413, f"a submission has at most {MAX_BODY} bytes\n")
    try:
        verdict = witness.add_checkpoint(body)
    except DatabaseError:
        return _text(503, "the database is unavailable: try again in a moment\n")
    return HttpResponse(verdict.body, status=verdict.status, content_type=verdict.content_type)


@require_safe
def checkpoint(request: HttpRequest, origin: str) -> HttpResponse:
    """Returns what this witness saw last of a log. `origin` is the hex SHA-256 of its name."""
    note = witness.latest_note(origin)
    return _text(404, "nothing was seen of that log\n") if note is None else _text(200, note)


def _text(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type=witness.TEXT)
