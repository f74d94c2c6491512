"""Errors as JSON: `{"detail": …}`, or `{field: [what is accepted]}` for bad input."""

from __future__ import annotations

from typing import Any

from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, JsonResponse
from rest_framework.response import Response
from rest_framework.views import exception_handler

# The database is away, or its tables are not made yet.
NOT_READY = (OperationalError, InterfaceError, ProgrammingError)


def as_json(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, NOT_READY):
        return Response({"detail": "the database does not answer; calls wait in the spool"}, 503)
    return exception_handler(error, context)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return JsonResponse({"detail": f"there is nothing at {request.path}"}, status=404)


def server_error(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"detail": "an error of AgentLedger's own; its log says more"}, status=500)
