"""The HTTP client to the upstream: what it sends and yields is byte for byte what it was given.

aiohttp is used directly (docs/decisions/aiohttp-without-httpx.md). As it comes it is not
transparent: the subclasses below send target and header bytes as they came (aiohttp drops what
follows a `#`, and writes text as UTF-8), and never write to a pooled connection that the upstream
has closed.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import AsyncIterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp import ClientRequest, ClientResponse, ClientSession, ClientTimeout, TCPConnector
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict

from capture.upstream.routing import Destination

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection

RawHeaders = Sequence[tuple[bytes, bytes]]

KEEP_ALIVE_S = 15
HEADER_LIMIT = 64 * 1024

# RFC 9110 section 7.6.1: these describe one hop, so they are not ours to pass on. `expect` was
# answered by our own server when it took the body.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"expect",
    )
)

# To a proxy, `@elsewhere/` behind the origin names another host; a blank ends the request line.
_is_target = re.compile(rb"/\S*").fullmatch
# The target of the request being made, as it came: handed to _Request past aiohttp, which takes a
# URL and would cut this one at its `#`.
_target: ContextVar[str] = ContextVar("target")


class UpstreamError(Exception):
    """The upstream did not answer. `worked`: it may have begun to work on the request."""

    def __init__(self, message: str, *, status: int, worked: bool) -> None:
        super().__init__(message)
        self.status = status  # what we answer instead
        self.worked = worked


class UpstreamCut(Exception):
    """The upstream ended its answer before it was complete."""


@dataclass(frozen=True, slots=True)
class Response:
    """The upstream's answer, its body still to come."""

    status: int
    headers: list[tuple[bytes, bytes]]  # names in lower case, without those of the hop
    length: int | None  # of the body, where the upstream said so
    _response: ClientResponse

    async def piece(self) -> bytes:
        """What has come of the body since the last piece; empty at its end. Raises UpstreamCut."""
        try:
            return await self._response.content.readany()
        except TimeoutError:
            raise UpstreamCut("the upstream fell silent in mid-answer") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamCut(f"the upstream cut the answer: {_reason(error)}") from error

    def body_at_once(self) -> bytes | None:
        """The whole body, if all of it has come by now; nothing is taken otherwise."""
        content = self._response.content
        if not content.is_eof() or content.exception() is not None:
            return None
        return content.read_nowait()

    def is_whole(self) -> bool:
        """Whether the last piece was the last: known without waiting for more."""
        return self._response.content.at_eof()

    def close(self) -> None:
        """End the connection if the answer is not complete: that cancels the upstream's work."""
        self._response.close()


class Upstream:
    """The pool of connections to all upstreams. To be made within the event loop."""

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
            connector=_Connector(limit=pool_size, keepalive_timeout=KEEP_ALIVE_S),
            request_class=_Request,
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
    ) -> Response:
        """Forward one request; `target` is the raw path with its query. Raises UpstreamError."""
        if not _is_target(target):
            raise UpstreamError("the request target is not a path", status=400, worked=False)
        name = destination.authority
        _target.set(destination.target_of(target).decode("latin-1"))
        try:
            response = await self._session.request(
                method,
                destination.origin,
                headers=forwarded(headers),
                data=body,
                allow_redirects=False,
            )
        except aiohttp.ConnectionTimeoutError:
            message = f"no connection to {name} within {self._connect_timeout_s:g} s"
            raise UpstreamError(message, status=504, worked=False) from None
        except aiohttp.ClientConnectorError as error:
            message = f"{name} cannot be reached: {_reason(error)}"
            raise UpstreamError(message, status=502, worked=False) from error
        except TimeoutError:
            message = f"{name} did not answer within {self._read_timeout_s:g} s"
            raise UpstreamError(message, status=504, worked=True) from None
        except (aiohttp.ClientError, OSError) as error:
            message = f"{name} did not answer: {_reason(error)}"
            raise UpstreamError(message, status=502, worked=True) from error
        headers = _answered(response.raw_headers)
        return Response(response.status, headers, _length(headers), response)

    async def close(self) -> None:
        await self._session.close()


def forwarded(headers: RawHeaders) -> CIMultiDict[str]:
    """Latin-1 keeps each byte as one character, until _Writer makes a byte of it again."""
    named_by_connection = _named_by_connection(headers)
    return CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name not in HOP_BY_HOP
        and name != b"host"
        and not name.startswith(b"x-agentledger-")
        and name not in named_by_connection
    )


def _answered(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in headers]
    named_by_connection = _named_by_connection(lowered)
    return [
        (name, value)
        for name, value in lowered
        if name not in HOP_BY_HOP and name not in named_by_connection
    ]


def _length(headers: RawHeaders) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            break
    else:
        return frozenset()
    values = b",".join(value for name, value in headers if name == b"connection")
    return frozenset(token.strip().lower() for token in values.split(b","))


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    return " ".join(str(error).split()) or type(error).__name__


class _Connector(TCPConnector):
    async def _get(self, key: ConnectionKey, traces: list[Any]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if _is_quiet(cast(asyncio.Transport, connection.transport)):
                return connection
            connection.close()
        return None


def _is_quiet(transport: asyncio.Transport) -> bool:
    """Nothing waits to be read on an idle connection: else it was closed, or is out of step."""
    socket = transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN | select.POLLRDHUP)
    return not poll.poll(0)


class _Writer(StreamWriter):
    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        lines = [status_line]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("\r\n")
        self._headers_buf = "\r\n".join(lines).encode("latin-1")


class _Request(ClientRequest):
    async def send(self, conn: Connection) -> ClientResponse:
        """As ClientRequest.send, without what we never use, and with our writer. A body that is
        in memory is written at once, without a task of its own."""
        protocol = conn.protocol
        assert protocol is not None
        writer = _Writer(protocol, self.loop)
        if self.chunked is not None:
            writer.enable_chunking()
        target = _target.get()
        if self.proxy and not self.is_ssl():
            target = f"{str(self.url).rstrip('/')}{target}"
        await writer.write_headers(f"{self.method} {target} HTTP/1.1", self.headers)
        task = None
        if isinstance(self._body, BytesPayload):
            await self._body.write(writer)
        if self._body and not isinstance(self._body, BytesPayload):
            body = self.write_bytes(writer, conn, self._get_content_length())
            task = self._writer = asyncio.create_task(body)
        else:
            await writer.write_eof()
            protocol.start_timeout()
        assert self.response_class is not None
        response = self.response_class(
            self.method,
            self.original_url,
            writer=task,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )
        self.response = response
        return response
