"""Who serves a request: our own pages and API, the proxy, or neither of them at this port."""

from __future__ import annotations

from enum import Enum, auto

from django.conf import settings

from agentledger_site.owned_paths import PROBES, is_owned
from capture.proxy.asgi_types import Scope


class Side(Enum):
    OURS = auto()
    PROVIDERS = auto()
    NEITHER = auto()


def find_side(scope: Scope) -> Side:
    path: str = scope["path"]
    side = Side.OURS if is_owned(path) else Side.PROVIDERS
    dashboard_port = settings.AGENTLEDGER.dashboard_port
    if dashboard_port is None:
        return side
    server = scope.get("server") or (None, None)
    if server[1] == dashboard_port:
        at_this_port = side is Side.OURS
    else:
        at_this_port = side is Side.PROVIDERS or path in PROBES
    return side if at_this_port else Side.NEITHER
