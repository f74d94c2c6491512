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
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    address = (scope.get("client") or (None,))[0]
    client = forwarded.read_client(address, headers, settings.AGENTLEDGER.trusted_proxies)
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return RequestFacts(
        address=client.address or "" if client is not None else address,
        host=headers.get("host", ""),
        headers=headers,
        key_parameter=query.get(KEY_PARAMETER, [None])[-1],
        cookie=_read_cookie(headers.get("cookie", "")),
        is_forwarded=client is not None and client.address is not None,
    )


def _read_cookie(header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(cookie.NAME)
    except CookieError:
        return None
    return found.value if found is not None else None
