"""The client that a trusted proxy forwards for: its address, and whether it came over TLS.

The Host is not taken from proxies: a page of another site could send `X-Forwarded-Host` along. A
proxy passes on the Host that it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from access.request_checks import Network, is_in_networks, parse_address

ELEMENT = re.compile(r'(?:^|;)\s*(for|proto)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ForwardedClient:
    address: str | None  # None: the headers name none, or disagree
    scheme: str | None  # None: that of the connection to us


def read_client(
    peer: str | None, headers: Mapping[str, str], proxies: tuple[Network, ...]
) -> ForwardedClient | None:
    """Returns the client that a trusted proxy names; None if the peer is no such proxy or names
    nobody. Header names are in lower case."""
    if not is_in_networks(parse_address(peer), proxies):
        return None
    chains = [
        *([_split(headers["x-forwarded-for"])] if "x-forwarded-for" in headers else []),
        *([_elements(headers["forwarded"], "for")] if "forwarded" in headers else []),
    ]
    if not chains and "x-real-ip" in headers:
        chains = [[headers["x-real-ip"]]]
    if not chains:
        return None
    addresses = {_nearest_client(chain, proxies) for chain in chains}
    # A proxy writes one of the two headers; the other one may be whatever the client likes.
    address = addresses.pop() if len(addresses) == 1 else None
    return ForwardedClient(address, _scheme(headers))


def _nearest_client(chain: list[str], proxies: tuple[Network, ...]) -> str | None:
    """Returns the last address of the chain that is no trusted proxy: the client itself may have
    sent all that come before it. None if that is no address."""
    for entry in reversed(chain):
        ip = parse_address(_without_port(entry))
        if ip is None:
            return None
        if not is_in_networks(ip, proxies):
            return str(ip)
    return str(parse_address(_without_port(chain[0]))) if chain else None


def _scheme(headers: Mapping[str, str]) -> str | None:
    schemes = _split(headers.get("x-forwarded-proto", ""))
    schemes = schemes or _elements(headers.get("forwarded", ""), "proto")
    last = schemes[-1].lower() if schemes else ""
    return last if last in ("http", "https") else None


def _split(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _elements(value: str, name: str) -> list[str]:
    """Returns the values of one parameter of RFC 7239's header, such as
    `for=192.0.2.43, for="[2001:db8::1]:4711";proto=https`."""
    return [
        match[2].strip('"')
        for part in value.split(",")
        for match in ELEMENT.finditer(part.strip())
        if match[1].lower() == name
    ]


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
