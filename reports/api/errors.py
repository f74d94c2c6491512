"""Errors as JSON: `{"detail": …}`, or `{field: [what is accepted]}` for invalid input."""

from __future__ import annotations

from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, JsonResponse
from rest_framework.response import Response
from rest_framework.views import exception_handler

# The database is unavailable, or its tables have not been created yet.
NOT_READY = (OperationalError, InterfaceError, ProgrammingError)


def as_json(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, NOT_READY):
        return Response({"detail": "the database is unavailable; calls wait in the spool"}, 503)
    return exception_handler(error, context)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse({"detail": f"no such page: {request.path}"}, status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"detail": "an internal error of AgentLedger; see its log"}, status=500)
