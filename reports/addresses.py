"""The address that agents send their calls to, as pages show it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def proxy_url(request: HttpRequest) -> str:
    """Returns the URL without a slash at its end: that of the page, with the agents' port."""
    url = request.build_absolute_uri("/").rstrip("/")
    config = settings.AGENTLEDGER
    if config.dashboard_port is None:
        return url
    parts = urlsplit(url)
    name = parts.hostname or ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{config.port}"
