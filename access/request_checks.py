"""Rules over plain facts of a request: whose page sends it, from where, under which Host name."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KEY_HEADER = "x-agentledger-api-key"
KEY_PARAMETER = "api_key"
# A request that came through a proxy comes from someone whom we cannot see, unless the proxy is
# one that the operator trusts: access.forwarded.
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True)
class Reader:
    """What of a request the rules look at. Header names are in lower case."""

    address: str | None
    host: str
    headers: Mapping[str, str]
    key_parameter: str | None = None
    cookie: str | None = None
    method: str = "GET"
    is_vouched_for: bool = False  # by a trusted proxy: `address` is whom it names

    @property
    def writes(self) -> bool:
        return self.method not in SAFE_METHODS

    @property
    def is_a_page(self) -> bool:
        """Browsers tell whose page sends a request; programs send neither header."""
        return "origin" in self.headers or "sec-fetch-site" in self.headers


@dataclass(frozen=True, slots=True)
class Denied:
    status: int
    reason: str
    retry_after_s: int | None = None


def denied_to_pages(reader: Reader) -> Denied | None:
    if reader.writes and _comes_from_elsewhere(reader):
        return Denied(403, "a page of another site may not change anything here")
    return None


def denied_to_sockets(reader: Reader) -> Denied | None:
    """Browsers let any page open a WebSocket to anyone."""
    if _comes_from_elsewhere(reader):
        return Denied(403, "a page of another site may not listen here")
    return None


def denied_with_key(reader: Reader, allowed_hosts: tuple[str, ...]) -> Denied | None:
    if allowed_hosts and _host_name(reader.host) not in allowed_hosts:
        return Denied(403, f"Host {reader.host!r} is not among AGENTLEDGER_ALLOWED_HOSTS")
    return None


def denied_without_key(
    reader: Reader,
    *,
    has_key: bool,
    trusted_networks: tuple[Network, ...],
    allowed_hosts: tuple[str, ...],
) -> Denied | None:
    """Why the place from which this reader asks does not let him in; None: it does."""
    if has_key:
        return Denied(401, f"the API key is missing or wrong: send it as {KEY_HEADER}")
    how = f"set AGENTLEDGER_API_KEY, or show a token as {KEY_HEADER}, to read from elsewhere"
    is_proxied = any(name in reader.headers for name in PROXY_HEADERS)
    if is_proxied and not reader.is_vouched_for:
        return Denied(403, f"without a key only this machine may read, not through a proxy; {how}")
    if not is_near(reader.address, trusted_networks):
        return Denied(403, f"without a key only this machine may read; {how}")
    name = _host_name(reader.host)
    # A page of another site that resolves its name to our address (DNS rebinding) names itself.
    if not (_is_local_name(name) or _is_address(name) or name in allowed_hosts):
        return Denied(403, f"Host {name!r} is unknown; name it in AGENTLEDGER_ALLOWED_HOSTS")
    return None


def _comes_from_elsewhere(reader: Reader) -> bool:
    if reader.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = reader.headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != reader.host.lower()


def is_near(address: str | None, networks: tuple[Network, ...]) -> bool:
    ip = ip_of(address)
    return ip is not None and (ip.is_loopback or any(ip in network for network in networks))


def ip_of(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _host_name(host: str) -> str:
    """Host without its port, in lower case: `[::1]:8000` is `::1`."""
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
