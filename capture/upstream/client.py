"""The HTTP client to the upstreams: what it sends and yields is byte for byte what it was given.

aiohttp is used directly (docs/decisions/aiohttp-without-httpx.md).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from websockets.exceptions import InvalidHandshake

from capture.upstream.headers import (
    HEADER_LIMIT,
    RawHeaders,
    content_length,
    headers_for_agent,
    headers_for_upstream,
)
from capture.upstream.routing import Destination
from capture.upstream.transparent_aiohttp import (
    TransparentConnector,
    TransparentRequest,
    request_target,
)

KEEP_ALIVE_S = 15

# What an agent is told of a failure.
_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientSSLError, ssl.SSLError), "TLS failed"),
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), "its name is not known"),
    (aiohttp.ClientConnectorError, "the connection was not accepted"),
    (ConnectionRefusedError, "the connection was not accepted"),
    ((aiohttp.ServerDisconnectedError, ConnectionError, EOFError), "it closed the connection"),
    (
        (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, InvalidHandshake),
        "its response is not valid HTTP",
    ),
)

# To a proxy, `@elsewhere/` after the origin names another host; a blank ends the request line.
_is_target = re.compile(rb"/\S*").fullmatch


class UpstreamError(Exception):
    """The upstream gave no response. `status` is that of our own; `may_have_worked`: the upstream
    may have begun to work on the request. `summary` is for the agent; the message, for the record
    and the log, also has what `error` says, such as an upstream's bytes."""

    def __init__(
        self,
        summary: str,
        error: BaseException | None = None,
        *,
        status: int,
        may_have_worked: bool,
    ) -> None:
        self.summary = summary + _kind_of(error)
        super().__init__(self.summary + (f" ({describe(error)})" if error is not None else ""))
        self.status = status
        self.may_have_worked = may_have_worked


class UpstreamCut(Exception):
    """The upstream ended its response before it was complete."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """The upstream's response, its body still to come."""

    status: int
    headers: list[tuple[bytes, bytes]]  # names in lower case, without those of the hop
    length: int | None  # of the body; None: the upstream did not say
    _response: ClientResponse
    _peeked: list[bytes] = field(default_factory=list)  # a chunk at most

    async def peek(self) -> bytes:
        """Returns the next chunk, which stays to be read. Raises UpstreamCut."""
        if not self._peeked:
            self._peeked.append(await self.read_chunk())
        return self._peeked[0]

    async def read_chunk(self) -> bytes:
        """Returns what has come of the body since the last chunk; empty at its end. Raises
        UpstreamCut."""
        if self._peeked:
            return self._peeked.pop()
        try:
            return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamCut(
                "the upstream stopped sending in the middle of its response"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamCut(f"the upstream cut its response: {describe(error)}") from error

    def body_if_complete(self) -> bytes | None:
        """Returns the whole body if all of it has come by now. Otherwise nothing is read."""
        content = self._response.content
        if not content.is_eof() or content.exception() is not None:
            return None
        peeked = self._peeked.pop() if self._peeked else b""
        return peeked + content.read_nowait()

    def is_complete(self) -> bool:
        """Returns whether the last chunk ended the body, as far as is known without waiting."""
        return not self._peeked and self._response.content.at_eof()

    def close(self) -> None:
        """Closes the connection if the response is not complete, which cancels the upstream's
        work."""
        self._response.close()


class UpstreamClient:
    """The pool of connections to all upstreams. Has to be made within the event loop."""

    def __init__(
        self,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        pool_size: int = 0,
        trust_env: bool = False,
    ) -> None:
        self._connect_timeout_s, self._read_timeout_s = connect_timeout_s, read_timeout_s
        self._session = ClientSession(
            connector=TransparentConnector(limit=pool_size, keepalive_timeout=KEEP_ALIVE_S),
            request_class=TransparentRequest,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=ClientTimeout(
                total=None, sock_connect=connect_timeout_s, sock_read=read_timeout_s
            ),
            trust_env=trust_env,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
        )
        # aiohttp would send an idempotent request twice; only the agent may decide that.
        self._session._retry_connection = False

    async def send(
        self,
        destination: Destination,
        method: str,
        target: bytes,
        headers: RawHeaders,
        body: bytes | AsyncIterable[bytes] | None,
    ) -> UpstreamResponse:
        """Forwards one request; `target` is the raw path with its query. Raises UpstreamError."""
        if not _is_target(target):
            message = "the request target is not a path"
            raise UpstreamError(message, status=400, may_have_worked=False)
        name = destination.authority
        request_target.set(destination.full_target(target).decode("latin-1"))
        try:
            response = await self._session.request(
                method,
                destination.origin,
                headers=headers_for_upstream(headers),
                data=body,
                allow_redirects=False,
            )
        except aiohttp.ConnectionTimeoutError:
            message = f"no connection to {name} within {self._connect_timeout_s:g} s"
            raise UpstreamError(message, status=504, may_have_worked=False) from None
        except aiohttp.ClientConnectorError as error:
            message = f"{name} cannot be reached"
            raise UpstreamError(message, error, status=502, may_have_worked=False) from error
        except TimeoutError:
            message = f"{name} did not respond within {self._read_timeout_s:g} s"
            raise UpstreamError(message, status=504, may_have_worked=True) from None
        except (aiohttp.ClientError, OSError) as error:
            message = f"{name} did not respond"
            raise UpstreamError(message, error, status=502, may_have_worked=True) from error
        passed = headers_for_agent(response.raw_headers)
        return UpstreamResponse(response.status, passed, content_length(passed), response)

    async def close(self) -> None:
        await self._session.close()


def _kind_of(error: BaseException | None) -> str:
    return next((f": {kind}" for types, kind in _KINDS if isinstance(error, types)), "")


def describe(error: BaseException) -> str:
    """Returns the message of an error in one line, or its class where it has none."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    return " ".join(str(error).split()) or type(error).__name__
