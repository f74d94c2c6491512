"""Decides who may open one of our WebSockets, by the rules that hold for pages."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.db import DatabaseError, connection

from access import cookie, forwarded
from access.actors import Actor
from access.authentication import authenticate
from access.browsers import device_cookie
from access.request_checks import (
    DATABASE_UNAVAILABLE,
    KEY_PARAMETER,
    Denial,
    RequestFacts,
    check_socket,
)


def authenticate_socket(scope: dict[str, Any], route: str) -> Actor | Denial:
    """Returns the actor if it may listen. Reads the database: it is to be called in a thread, whose
    connection it closes."""
    facts = _read_facts(scope)
    rule = settings.ROUTE_RULES.find(route)
    try:
        found = check_socket(facts) or authenticate(facts)
    except DatabaseError:
        return DATABASE_UNAVAILABLE
    finally:
        connection.close()
    if isinstance(found, Denial):
        return found
    if rule is None or not found.may(rule.read):
        return Denial(403, f"{found.name} may not connect here")
    return found


def _read_facts(scope: dict[str, Any]) -> RequestFacts:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joint = "; " if name == "cookie" else ","  # for pages, Django joins them
        headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
    address = (scope.get("client") or (None,))[0]
    client = forwarded.read_client(address, headers, settings.AGENTLEDGER.trusted_proxies)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return RequestFacts(
        address=client.address or "" if client is not None else address,
        host=headers.get("host", ""),
        headers=headers,
        key_parameter=query.get(KEY_PARAMETER, [None])[-1],
        cookie=_read_cookie(cookie.NAME, headers.get("cookie", "")),
        device_cookie=_read_cookie(device_cookie.NAME, headers.get("cookie", "")),
        http_version=scope.get("http_version", "1.1"),
        is_forwarded=client is not None and client.address is not None,
        peer=scope.get("client"),
        server=scope.get("server"),
    )


def _read_cookie(name: str, header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return found.value if found is not None else None
