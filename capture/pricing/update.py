"""Updates of the published prices from a file or a URL, when the operator asks for one. Nothing
else in AgentLedger fetches prices."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from access.redaction import redact_url
from capture.pricing import catalog
from capture.pricing.catalog import MAX_BYTES, PriceData

BUILT_IN = "builtin"
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
WHOLE_TIMEOUT_S = 120.0


class UpdateError(Exception):
    """The prices stay as they were; the message is one sentence that says why."""


def update_prices(source: str, path: Path) -> PriceData:
    """Replaces the file at `path` by the data of `source`, a file or an http(s) URL; `builtin`
    removes it. Returns the data that is now in use. Raises UpdateError."""
    try:
        if source == BUILT_IN:
            path.unlink(missing_ok=True)
            return catalog.built_in_prices()
        data = _fetch(source) if source.startswith(("http://", "https://")) else _read(source)
        prices = _check(data, source)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        catalog.write_prices(path, data)
    except OSError as error:
        raise UpdateError(f"the prices cannot be stored: {error}") from None
    return prices


def _check(data: bytes, source: str) -> PriceData:
    try:
        return catalog.parse_prices(data)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UpdateError(f"{redact_url(source)} cannot be used: {reason}") from None


def _read(source: str) -> bytes:
    try:
        with open(source, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UpdateError(f"{source} cannot be read: {error}") from None
    if len(data) > MAX_BYTES:
        raise UpdateError(f"{source} cannot be used: it is longer than {MAX_BYTES:,} bytes")
    return data


def _fetch(url: str) -> bytes:
    shown = redact_url(url)
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    end = time.monotonic() + WHOLE_TIMEOUT_S
    data = bytearray()
    try:
        with httpx.stream("GET", url, timeout=timeout, follow_redirects=True) as response:
            if response.status_code != 200:
                raise UpdateError(f"{shown} responds with status {response.status_code}")
            for piece in response.iter_bytes():
                data += piece
                if len(data) > MAX_BYTES:
                    raise UpdateError(f"{shown} sends more than {MAX_BYTES:,} bytes")
                if time.monotonic() > end:
                    raise UpdateError(f"{shown} takes longer than {WHOLE_TIMEOUT_S:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UpdateError(f"{shown} cannot be fetched: {reason}") from None
    return bytes(data)
