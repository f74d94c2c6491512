"""The rule for readers: with a key, whoever shows it; without one, the machine itself."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from agentledger_site.conf import PREFIX, Config, Network

KEY_HEADER = "x-agentledger-api-key"
KEY_PARAMETER = "api_key"
# A request that came through a proxy comes from someone whom we cannot see.
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
LOCAL_NAMES = ("localhost", "localhost.localdomain")


@dataclass(frozen=True, slots=True)
class Reader:
    """What of a request the rule looks at. Header names are in lower case."""

    address: str | None
    host: str
    headers: Mapping[str, str]
    key_parameter: str | None = None
    method: str = "GET"

    @property
    def writes(self) -> bool:
        return self.method not in SAFE_METHODS


@dataclass(frozen=True, slots=True)
class Denied:
    status: int
    reason: str


def denied(reader: Reader, config: Config) -> Denied | None:
    """Why this reader may not read, or write; None: he may."""
    if reader.writes and _comes_from_elsewhere(reader):
        return Denied(403, "a page of another site may not change anything here")
    if config.api_key is None:
        return _denied_without_key(reader, config)
    if config.allowed_hosts and _host_name(reader.host) not in config.allowed_hosts:
        return Denied(403, f"Host {reader.host!r} is not among {PREFIX}ALLOWED_HOSTS")
    # A link may carry the parameter, and must not change anything.
    parameter = None if reader.writes else reader.key_parameter
    shown = reader.headers.get(KEY_HEADER) or parameter or ""
    if hmac.compare_digest(shown.encode(), config.api_key.encode()):
        return None
    return Denied(401, f"the API key is missing or wrong: send it as {KEY_HEADER}")


def _comes_from_elsewhere(reader: Reader) -> bool:
    """Browsers tell whose page sends a request; programs send neither header."""
    if reader.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = reader.headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != reader.host.lower()


def _denied_without_key(reader: Reader, config: Config) -> Denied | None:
    how = f"set {PREFIX}API_KEY to read from elsewhere"
    proxied = next((name for name in PROXY_HEADERS if name in reader.headers), None)
    if proxied:
        return Denied(403, f"without a key only this machine may read, not through a proxy; {how}")
    if not _is_near(reader.address, config.trusted_networks):
        return Denied(403, f"without a key only this machine may read; {how}")
    name = _host_name(reader.host)
    # A page of another site that resolves its name to our address (DNS rebinding) names itself.
    if not (_is_local_name(name) or _is_address(name) or name in config.allowed_hosts):
        return Denied(403, f"Host {name!r} is unknown; name it in {PREFIX}ALLOWED_HOSTS")
    return None


def _is_near(address: str | None, networks: tuple[Network, ...]) -> bool:
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_loopback or any(ip in network for network in networks)


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
