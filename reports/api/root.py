"""The index of the site, its health and its readiness."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import get_script_prefix
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from access.middleware import may_read, wants_page
from reports.addresses import proxy_url
from reports.api.readiness import readiness
from reports.dashboard.calls import calls
from reports.queries.parameters import NoParameters

READ = ["GET", "HEAD"]


@extend_schema(responses=OpenApiTypes.OBJECT)
@api_view(READ)
def index(request: Request) -> HttpResponseBase:
    """AgentLedger records the calls that agents send through it. Set an agent's base URL to one of
    these URLs, send a call, and read it here."""
    if wants_page(request._request) or "hx-request" in request.headers:
        return calls(request._request)
    NoParameters.parse(request.query_params)
    base, proxy = request.build_absolute_uri(get_script_prefix()), proxy_url(request._request)
    return Response(
        {
            "version": settings.VERSION,
            "openai_base_url": f"{proxy}/v1",
            "anthropic_base_url": proxy,
            "sessions": f"{base}api/sessions",
            "schema": f"{base}api/schema/view",
            "health": f"{base}health",
            "readiness": f"{base}readyz",
        }
    )


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok", "version": settings.VERSION})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Responds 503 only when new calls would be refused or not recorded."""
    state = readiness()
    facts = state.facts if may_read(request) else {}
    return JsonResponse({"status": state.status, **facts}, status=state.status_code)
