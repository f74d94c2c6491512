"""Checks of plain facts of a request: which page sends it, from which address, to which Host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from access.local import forwarding

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KEY_HEADER = "x-agentledger-api-key"
KEY_PARAMETER = "api_key"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The parts of a request that are checked. Header names are in lower case."""

    address: str | None
    host: str
    headers: Mapping[str, str]
    key_parameter: str | None = None
    cookie: str | None = None
    device_cookie: str | None = None
    method: str = "GET"
    http_version: str = "1.1"
    is_forwarded: bool = False  # by a trusted proxy, which says that the client is `address`
    # Both ends of the connection, as in an ASGI scope: address and port.
    peer: Sequence[object] | None = None
    server: Sequence[object] | None = None

    @property
    def is_write(self) -> bool:
        return self.method not in SAFE_METHODS

    @property
    def is_from_page(self) -> bool:
        """Browsers say which page sends a request; programs send neither header."""
        return "origin" in self.headers or "sec-fetch-site" in self.headers


@dataclass(frozen=True, slots=True)
class Denial:
    """A reason not to serve a request, and the status of the response that says so."""

    status: int
    reason: str
    retry_after_s: int | None = None


DATABASE_UNAVAILABLE = Denial(
    503, "the database is unavailable; calls wait in the spool: try again in a moment"
)


KEY_MISSING = Denial(401, f"the API key is missing or wrong: send it as {KEY_HEADER}")


def check_page(facts: RequestFacts) -> Denial | None:
    """Denies changes by pages of other sites."""
    if facts.is_write and _is_from_another_site(facts):
        return Denial(403, "a page of another site may not change anything here")
    return None


def check_socket(facts: RequestFacts) -> Denial | None:
    """Denies WebSockets of other sites' pages: browsers let any page open one to any server."""
    if _is_from_another_site(facts):
        return Denial(403, "a page of another site may not connect here")
    return None


def check_host_with_key(facts: RequestFacts, allowed_hosts: tuple[str, ...]) -> Denial | None:
    """Denies Host names that are not in the operator's list, if there is one."""
    if allowed_hosts and _split_host(facts.host)[0] not in allowed_hosts:
        return Denial(403, f"Host {facts.host!r} is not in AGENTLEDGER_ALLOWED_HOSTS")
    return None


def check_without_key(
    facts: RequestFacts,
    *,
    has_key: bool,
    trusted_networks: tuple[Network, ...],
    allowed_hosts: tuple[str, ...],
) -> Denial | None:
    """Denies requests that need a key or a token: all of them if the operator set a key, otherwise
    those that do not come from this machine or a trusted network. Whose program it is on this
    machine is not asked here: access.authentication."""
    if has_key:
        return KEY_MISSING
    # It comes from an unknown client, unless the operator trusts that proxy: access.forwarded.
    mark = forwarding.find_mark(facts.headers, facts.http_version)
    if mark is not None and not facts.is_forwarded:
        reason = "without a key only this machine may read, not through a proxy"
        return deny_place(f"{reason}, which {mark} is a sign of")
    is_in_network = is_in_networks(parse_address(facts.address), trusted_networks)
    if not (is_in_network or is_loopback(facts)):
        return deny_place("without a key only this machine may read")
    name, port = _split_host(facts.host)
    # A page of another site that resolves its name to our address (DNS rebinding) sends its name,
    # and what forwards from elsewhere often the name and the port that were asked for there.
    if not (
        is_local_name(name)
        or name in allowed_hosts
        or (_is_address(name) if is_in_network else _is_own_address(name))
    ):
        return Denial(403, f"Host {name!r} is unknown; add it to AGENTLEDGER_ALLOWED_HOSTS")
    if not is_in_network and not _is_own_port(port, facts):
        return deny_place(f"without a key only this machine may read, and not as port {port}")
    return None


def deny_place(reason: str) -> Denial:
    advice = f"set AGENTLEDGER_API_KEY, or send a token as {KEY_HEADER}, to read from elsewhere"
    return Denial(403, f"{reason}; {advice}")


def parse_address(address: str | None) -> Address | None:
    """Returns the IP address; an IPv4 address that is mapped into IPv6 is returned as IPv4."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _is_from_another_site(facts: RequestFacts) -> bool:
    if facts.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = facts.headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != facts.host.lower()


def is_in_networks(ip: Address | None, networks: tuple[Network, ...]) -> bool:
    return ip is not None and any(ip in network for network in networks)


def is_loopback(facts: RequestFacts) -> bool:
    ip = parse_address(facts.address)
    return ip is not None and ip.is_loopback


def _split_host(host: str) -> tuple[str, str]:
    """Returns the name in lower case, and the port or "": `[::1]:8000` is `::1` and `8000`."""
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name.lower(), port.removeprefix(":")
    if host.count(":") == 1:
        name, _, port = host.partition(":")
        return name.lower(), port
    return host.lower(), ""


def is_local_name(name: str) -> bool:
    return name in LOCAL_NAMES or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    return _parse_name(name) is not None


def _is_own_address(name: str) -> bool:
    """Returns whether this address leads every machine to itself: 127.0.0.1, but also 0.0.0.0."""
    ip = _parse_name(name)
    return ip is not None and (ip.is_loopback or ip.is_unspecified)


def _parse_name(name: str) -> Address | None:
    return parse_address(name) if "%" not in name else None


def _is_own_port(port: str, facts: RequestFacts) -> bool:
    if not port or facts.server is None or facts.is_forwarded:
        return True
    return port == str(facts.server[1])
