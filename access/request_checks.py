"""Checks of plain facts of a request: which page sends it, from which address, to which Host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KEY_HEADER = "x-agentledger-api-key"
KEY_PARAMETER = "api_key"
# A request that came through a proxy comes from an unknown client, unless the operator trusts that
# proxy: access.forwarded.
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
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
    method: str = "GET"
    is_forwarded: bool = False  # by a trusted proxy, which says that the client is `address`

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
    if allowed_hosts and _host_name(facts.host) not in allowed_hosts:
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
    those that do not come from this machine or a trusted network."""
    if has_key:
        return Denial(401, f"the API key is missing or wrong: send it as {KEY_HEADER}")
    advice = (
        f"set AGENTLEDGER_API_KEY, or send a token as {KEY_HEADER}, to read from other machines"
    )
    is_proxied = any(name in facts.headers for name in PROXY_HEADERS)
    if is_proxied and not facts.is_forwarded:
        reason = "without a key only this machine may read, not through a proxy"
        return Denial(403, f"{reason}; {advice}")
    if not _is_trusted(facts.address, trusted_networks):
        return Denial(403, f"without a key only this machine may read; {advice}")
    name = _host_name(facts.host)
    # A page of another site that resolves its name to our address (DNS rebinding) sends its name.
    if not (_is_local_name(name) or _is_address(name) or name in allowed_hosts):
        return Denial(403, f"Host {name!r} is unknown; add it to AGENTLEDGER_ALLOWED_HOSTS")
    return None


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


def _is_trusted(address: str | None, networks: tuple[Network, ...]) -> bool:
    ip = parse_address(address)
    return ip is not None and (ip.is_loopback or is_in_networks(ip, networks))


def _host_name(host: str) -> str:
    """Returns the Host without its port, in lower case: `[::1]:8000` is `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_local_name(name: str) -> bool:
    return name in LOCAL_NAMES or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
