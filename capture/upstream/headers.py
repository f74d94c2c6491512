"""Headers that pass the proxy, and those that do not, in both directions."""

from __future__ import annotations

from collections.abc import Sequence

from multidict import CIMultiDict

RawHeaders = Sequence[tuple[bytes, bytes]]

# Bytes, in both directions.
HEADER_LIMIT = 64 * 1024

# RFC 9110 section 7.6.1: these describe one hop, so they are not ours to pass on. Our own server
# has honoured `expect` by the time it has read the body.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"expect",
    )
)

# Our own cookies: those that our pages and the admin set. `agentledger` signs in; it and all that
# begin with it are ours.
_OWN_COOKIES = frozenset((b"csrftoken", b"sessionid", b"messages", b"theme", b"tz", b"keys"))
_OWN_COOKIE_PREFIXES = (b"agentledger", b"trace_tree")


def is_own_cookie(name: bytes) -> bool:
    return name in _OWN_COOKIES or name.startswith(_OWN_COOKIE_PREFIXES)


def headers_for_upstream(headers: RawHeaders) -> CIMultiDict[str]:
    """Returns the headers of a request as they go on. Latin-1 keeps each byte as one character; the
    same encoding makes a byte of it again when it is written."""
    named_by_connection = _connection_names(headers)
    return CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name not in HOP_BY_HOP
        and name != b"host"
        and not name.startswith(b"x-agentledger-")
        and name not in named_by_connection
    )


def headers_for_agent(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a response as they go on, names in lower case. No upstream sets a
    cookie of ours: in a browser they share one address with it."""
    lowered = [(name.lower(), value) for name, value in headers]
    named_by_connection = _connection_names(lowered)
    return [
        (name, value)
        for name, value in lowered
        if name not in HOP_BY_HOP
        and name not in named_by_connection
        and not sets_own_cookie(name, value)
    ]


def sets_own_cookie(name: bytes, value: bytes) -> bool:
    return name == b"set-cookie" and is_own_cookie(value.partition(b"=")[0].strip())


def content_length(headers: RawHeaders) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _connection_names(headers: RawHeaders) -> frozenset[bytes]:
    """Returns the names that `connection` adds to those of one hop."""
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            break
    else:
        return frozenset()
    values = b",".join(value for name, value in headers if name == b"connection")
    return frozenset(token.strip().lower() for token in values.split(b","))
