"""The sub-path at which a reverse proxy serves AgentLedger, such as `/ledger`.

It is configured, or a trusted proxy names it in `X-Forwarded-Prefix`. Proxies leave it in the path
or take it off; here it is taken off where it is still there, so that all that follows sees the
paths that it knows. Django puts it before each URL that it makes.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix

from access.request_checks import is_in_networks, parse_address
from agentledger_site.parsers import Rejected, sub_path
from capture.proxy.asgi_types import Scope

HEADER = b"x-forwarded-prefix"


def without_root(scope: Scope) -> Scope:
    """Returns the scope of a request with its path below the root, which is its `root_path`."""
    root = find_root(scope)
    if not root:
        # Servers let a client, or their own command line, name one.
        return {**scope, "root_path": ""} if scope.get("root_path") else scope
    path: str = scope["path"]
    target: bytes = scope.get("raw_path") or path.encode()
    if f"{path}/".startswith(f"{root}/") and target.startswith(root.encode()):
        path, target = path[len(root) :] or "/", target[len(root) :] or b"/"
    return {**scope, "path": path, "raw_path": target, "root_path": root}


def with_root(scope: Scope) -> Scope:
    """Returns a scope of `without_root` as Django and Channels expect it: with the whole path."""
    root = scope.get("root_path")
    return {**scope, "path": root + scope["path"]} if root else scope


def find_root(scope: Scope) -> str:
    """Returns the root without a slash at its end; it is empty where there is none."""
    config = settings.AGENTLEDGER
    if config.root_path or not config.trusted_proxies:
        return str(config.root_path)
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == HEADER]
    peer = (scope.get("client") or (None,))[0]
    if not named or not is_in_networks(parse_address(peer), config.trusted_proxies):
        return ""
    try:
        # Of several proxies one after the other, each adds its own.
        return "".join(sub_path(one.strip()) for one in ",".join(named).split(","))
    except Rejected:
        return ""


def cookies_under_root(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware: cookies of all paths are cookies of all paths below the root. Others may live
    beside it at the same host."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        for morsel in response.cookies.values():
            if morsel["path"] == "/":
                morsel["path"] = get_script_prefix()
        return response

    return respond
