"""Requests to witnesses and authorities, bounded in time and size whatever the other side does."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from django.conf import settings

TOTAL_S = 15.0
MAX_RESPONSE = 64 * 1024
MAX_REASON = 200


class Unavailable(Exception):
    """There was no response that can be used: one sentence says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    content_type: str
    body: bytes

    def reason(self) -> str:
        said = self.body[:MAX_REASON].decode(errors="replace").strip().partition("\n")[0]
        return f"HTTP status {self.status}" + (f" ({said})" if said.isprintable() and said else "")


def post(url: str, body: bytes, content_type: str) -> Reply:
    """Raises Unavailable."""
    return _bounded("POST", url, body, {"content-type": content_type})


def get(url: str) -> Reply:
    """Raises Unavailable."""
    return _bounded("GET", url, None, {})


def _bounded(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Reply:
    import httpx  # here: it takes half a second and 19 MB, and most ledgers have no such anchor

    try:
        return asyncio.run(_send(method, url, body, headers))
    except TimeoutError:
        raise Unavailable(f"no response within {TOTAL_S:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}".rstrip(": ")[:MAX_REASON]) from None


async def _send(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Reply:
    import httpx

    client = httpx.AsyncClient(
        verify=ssl.create_default_context(),
        timeout=TOTAL_S,
        trust_env=settings.AGENTLEDGER.upstream_trust_env,
    )
    headers = {**headers, "accept-encoding": "identity"}
    # Each read has a time-out of its own, which a slow sender never meets: this is for all of them.
    async with (
        asyncio.timeout(TOTAL_S),
        client,
        client.stream(method, url, content=body, headers=headers) as response,
    ):
        found = b""
        async for piece in response.aiter_raw():
            found += piece
            if len(found) > MAX_RESPONSE:
                raise Unavailable(f"the response is longer than {MAX_RESPONSE} bytes")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip()
        return Reply(response.status_code, media_type.lower(), found)
