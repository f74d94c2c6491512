"""Who opens a WebSocket of ours, and may he: the same rules as for pages."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.db import DatabaseError, connection

from access import cookie, forwarded
from access.actors import Actor
from access.authentication import identified
from access.request_checks import KEY_PARAMETER, Denied, Reader, denied_to_sockets

DATABASE_AWAY = Denied(503, "the database does not answer; try again in a moment")


def admitted(scope: dict[str, Any], route: str) -> Actor | Denied:
    """Asks the database: to be called in a thread, whose connection it closes."""
    reader = _reader_of(scope)
    rule = settings.ROUTE_RULES.find(route)
    try:
        known = denied_to_sockets(reader) or identified(reader)
    except DatabaseError:
        return DATABASE_AWAY
    finally:
        connection.close()
    if isinstance(known, Denied):
        return known
    if rule is None or not known.may(rule.read):
        return Denied(403, f"{known.name} may not listen here")
    return known


def _reader_of(scope: dict[str, Any]) -> Reader:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    address = (scope.get("client") or (None,))[0]
    client = forwarded.client(address, headers, settings.AGENTLEDGER.trusted_proxies)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return Reader(
        address=client.address or "" if client is not None else address,
        host=headers.get("host", ""),
        headers=headers,
        key_parameter=query.get(KEY_PARAMETER, [None])[-1],
        cookie=_cookie(headers.get("cookie", "")),
        is_vouched_for=client is not None and client.address is not None,
    )


def _cookie(header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(cookie.NAME)
    except CookieError:
        return None
    return found.value if found is not None else None
