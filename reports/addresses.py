"""The addresses of pages, and the one that agents send their calls to, as pages show it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import get_script_prefix


def root() -> str:
    """Returns what stands before each path of ours in this request: the root path, without a slash
    at its end."""
    return get_script_prefix().rstrip("/")


def proxy_url(request: HttpRequest) -> str:
    """Returns the URL without a slash at its end: that of the page, with the agents' port."""
    url = request.build_absolute_uri(get_script_prefix()).rstrip("/")
    config = settings.AGENTLEDGER
    if config.dashboard_port is None:
        return url
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{host}:{config.port}{parts.path}"
