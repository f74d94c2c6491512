from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from agentledger_site.access.rules import KEY_PARAMETER, Denied, Reader, denied
from agentledger_site.conf import config

# Probes answer everyone; what they tell depends on `may_read`.
OPEN_PATHS = frozenset(("/health", "/readyz"))


class ReadAccess:
    """Lets readers through to our own pages, or tells them why not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = None if request.path in OPEN_PATHS else _denied(request)
        if refusal is None:
            return self.get_response(request)
        if _is_probe(request):
            return HttpResponse("AgentLedger is running", content_type="text/plain")
        return JsonResponse({"detail": refusal.reason}, status=refusal.status)


def may_read(request: HttpRequest) -> bool:
    return _denied(request) is None


def _is_probe(request: HttpRequest) -> bool:
    """An Ollama client asks `/` whether there is a server, and wants no page."""
    wants_page = "text/html" in request.headers.get("accept", "").lower()
    return request.path == "/" and request.method in ("GET", "HEAD") and not wants_page


def _denied(request: HttpRequest) -> Denied | None:
    reader = Reader(
        address=request.META.get("REMOTE_ADDR"),
        host=request.META.get("HTTP_HOST", ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        key_parameter=request.GET.get(KEY_PARAMETER),
        method=request.method or "",
    )
    return denied(reader, config())
