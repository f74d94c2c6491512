"""Parsers of variables: each takes the text of the environment and returns a value.

They raise `Rejected` with a description of what they accept.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from access.request_checks import Network
from capture.evidence.anchor_address import AnchorAddress, parse_address
from capture.evidence.note import InvalidNote, KeyType, VerifierKey, check_name


class Rejected(ValueError):
    """A text cannot be parsed: the message says what would have been accepted."""


# A root path of these could not be told from what is below it.
_OWN_SEGMENTS = frozenset(
    "v1 v1beta v1alpha v2 to api ws health readyz metrics mcp admin session explain export"
    " dashboard static witness".split()
)


def text(value: str) -> str:
    return value


def picture(value: str) -> str:
    path = Path.cwd() / value
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".svg", ".webp") or not path.is_file():
        raise Rejected("the path of a PNG, JPEG, SVG or WebP file")
    return value


def http_url(value: str) -> str:
    try:
        url = urlsplit(value)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        is_usable = False
    # Whatever is before an @, be it a password without a user: it would be stored and shown.
    has_more = is_usable and ("@" in url.netloc or url.fragment)
    if not is_usable or has_more or any(c.isspace() for c in value):
        raise Rejected("an http:// or https:// URL without user, fragment or spaces")
    return value.rstrip("/")


def urls_by_name(value: str) -> Mapping[str, str]:
    accepted = 'a JSON object of names (a-z, 0-9, _ and -) and URLs, e.g. {"groq": "https://…"}'
    try:
        urls = json.loads(value)
    except ValueError:
        raise Rejected(accepted) from None
    if not isinstance(urls, dict):
        raise Rejected(accepted)
    for name, url in urls.items():
        if not re.fullmatch(r"[a-z0-9_-]{1,60}", name) or not isinstance(url, str):
            raise Rejected(accepted)
    return MappingProxyType({name: http_url(url) for name, url in urls.items()})


def redis_url(value: str) -> str:
    try:
        url = urlsplit(value)
        named = url.path if url.scheme == "unix" else url.hostname
        is_usable = url.scheme in ("redis", "rediss", "unix") and bool(named) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or any(c.isspace() for c in value):
        raise Rejected("redis://host:6379/0, rediss://… or unix:///path/to/socket")
    return value


def dsn(value: str) -> str:
    if re.match(r"sqlite:///.", value) or re.match(r"postgres(ql)?://", value):
        return value
    raise Rejected("sqlite:///relative.db, sqlite:////absolute.db or postgresql://…")


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,12}", value) and lowest <= int(value) <= highest:
            return int(value)
        raise Rejected(f"a whole number from {lowest} to {highest}")

    return parse


def seconds(value: str) -> float:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) and float(value) > 0:
        return float(value)
    raise Rejected("a number of seconds above 0")


def usd(value: str) -> Decimal:
    if re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,10})?", value):
        return Decimal(value)
    raise Rejected("an amount in USD, 0 or more, e.g. 10 or 0.50")


def factors(value: str) -> Mapping[str, Decimal]:
    accepted = 'a JSON object of places and numbers from 0 to 100, e.g. {"azure *": 1.1}'
    try:
        found = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, ArithmeticError):
        raise Rejected(accepted) from None
    if not isinstance(found, dict):
        raise Rejected(accepted)
    for place, factor in found.items():
        if not place.strip() or not isinstance(factor, Decimal) or not 0 <= factor <= 100:
            raise Rejected(accepted)
    return MappingProxyType({place.strip().lower(): factor for place, factor in found.items()})


def flag(value: str) -> bool:
    if value in ("0", "1"):
        return value == "1"
    raise Rejected("0 or 1")


def http_status(*numbers: int) -> Callable[[str], int]:
    parse_word = one_of(*map(str, numbers))
    return lambda value: int(parse_word(value))


def one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value in words:
            return value
        raise Rejected(" or ".join(words))

    return parse


def name_list(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def origins(value: str) -> tuple[str, ...]:
    """A browser's extension has an origin too, of a scheme of its own."""
    listed = tuple(item.lower().rstrip("/") for item in name_list(value))
    if not all(re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+", item) for item in listed):
        raise Rejected("comma-separated origins, e.g. https://app.example.com, or *")
    return listed


def path_list(value: str) -> tuple[str, ...]:
    return tuple(item.strip("/") for item in name_list(value))


def sub_path(value: str) -> str:
    """Returns a path with a slash before it and none at its end; empty for `/`."""
    segments = value.strip("/").split("/") if value.strip("/") else []
    # Browsers resolve dots, and two slashes would begin with a host.
    if len(value) > 200 or not all(re.fullmatch(r"\.*[\w~-][\w.~-]*", s, re.A) for s in segments):
        raise Rejected("a path of letters, digits, -, ., _ and ~, e.g. /ledger")
    if segments and segments[0].lower() in _OWN_SEGMENTS:
        raise Rejected("a path that begins with no path of AgentLedger's own or of a provider")
    return "".join(f"/{segment}" for segment in segments)


def networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(item, strict=False) for item in name_list(value))
    except ValueError:
        raise Rejected(
            "comma-separated addresses or networks, e.g. 172.17.0.1,10.0.0.0/8"
        ) from None


def key_name(value: str) -> str:
    try:
        check_name(value)
    except InvalidNote:
        raise Rejected("a name without spaces and +, e.g. ledger.example.org/agents") from None
    return value


def verifier_keys(value: str) -> tuple[VerifierKey, ...]:
    accepted = "comma-separated verifier keys of logs, as `manage.py signing_key` shows them"
    try:
        keys = tuple(VerifierKey.parse(item) for item in name_list(value))
    except InvalidNote:
        raise Rejected(accepted) from None
    if any(key.type != KeyType.NOTE for key in keys):
        raise Rejected(f"{accepted}: not those for cosignatures")
    return keys


def anchors(value: str) -> tuple[AnchorAddress, ...]:
    try:
        return tuple(parse_address(item) for item in dict.fromkeys(name_list(value)))
    except ValueError as refused:
        raise Rejected(str(refused)) from None
