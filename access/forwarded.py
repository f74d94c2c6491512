"""What trusted proxies tell of whom they forward: the address, and whether it came over TLS.

The Host is not taken from them: a page of another site could send `X-Forwarded-Host` along. A proxy
passes on the Host that it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from access.request_checks import Network, ip_of

ELEMENT = re.compile(r'(?:^|;)\s*(for|proto)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Client:
    address: str | None  # None: nobody says it, or two say different things
    scheme: str | None  # None: as the request came to us


def client(
    peer: str | None, headers: Mapping[str, str], proxies: tuple[Network, ...]
) -> Client | None:
    """Whom a trusted proxy vouches for; None: this is no such request. Header names are in lower
    case."""
    if not _is_trusted(peer, proxies):
        return None
    told = [
        *([_listed(headers["x-forwarded-for"])] if "x-forwarded-for" in headers else []),
        *([_elements(headers["forwarded"], "for")] if "forwarded" in headers else []),
    ]
    if not told and "x-real-ip" in headers:
        told = [[headers["x-real-ip"]]]
    if not told:
        return None
    addresses = {_nearest(chain, proxies) for chain in told}
    # A proxy writes one of the two headers; the other one may be whatever the client likes.
    address = addresses.pop() if len(addresses) == 1 else None
    return Client(address, _scheme(headers))


def _is_trusted(address: str | None, proxies: tuple[Network, ...]) -> bool:
    ip = ip_of(address)
    return ip is not None and any(ip in network for network in proxies)


def _nearest(chain: list[str], proxies: tuple[Network, ...]) -> str | None:
    """From our end of the chain the first that is no proxy of ours: what is beyond is hearsay."""
    for entry in reversed(chain):
        ip = ip_of(_without_port(entry))
        if ip is None:
            return None
        if not _is_trusted(str(ip), proxies):
            return str(ip)
    return str(ip_of(_without_port(chain[0]))) if chain else None


def _scheme(headers: Mapping[str, str]) -> str | None:
    told = _listed(headers.get("x-forwarded-proto", ""))
    told = told or _elements(headers.get("forwarded", ""), "proto")
    last = told[-1].lower() if told else ""
    return last if last in ("http", "https") else None


def _listed(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _elements(value: str, name: str) -> list[str]:
    """Of RFC 7239: `for=192.0.2.43, for="[2001:db8::1]:4711";proto=https`."""
    return [
        found[2].strip('"')
        for part in value.split(",")
        for found in ELEMENT.finditer(part.strip())
        if found[1].lower() == name
    ]


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
