"""aiohttp, made transparent: target and header bytes go out as they came, where aiohttp drops what
follows a `#` and writes text as UTF-8, and a connection that the upstream has closed is not used.

This relies on private members of aiohttp: tests/capture/upstream/test_private_members.py names
them.
"""

from __future__ import annotations

import asyncio
import select
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ClientRequest, ClientResponse, TCPConnector
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection

# The raw target of the request being made. It bypasses aiohttp, which takes a URL and would cut it
# at its `#`.
request_target: ContextVar[str] = ContextVar("request_target")


class TransparentConnector(TCPConnector):
    async def _get(self, key: ConnectionKey, traces: list[Any]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if _is_quiet(cast(asyncio.Transport, connection.transport)):
                return connection
            connection.close()
        return None


def _is_quiet(transport: asyncio.Transport) -> bool:
    """Returns whether nothing waits to be read. If something does, an idle connection was closed,
    or its responses no longer match its requests."""
    socket = transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN | select.POLLRDHUP)
    return not poll.poll(0)


class TransparentWriter(StreamWriter):
    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        lines = [status_line]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("\r\n")
        self._headers_buf = "\r\n".join(lines).encode("latin-1")


class TransparentRequest(ClientRequest):
    async def send(self, conn: Connection) -> ClientResponse:
        """Does what ClientRequest.send does, without the parts that are never used here, and with
        our writer. A body in memory is written at once, without a task of its own."""
        protocol = conn.protocol
        assert protocol is not None
        writer = TransparentWriter(protocol, self.loop)
        if self.chunked is not None:
            writer.enable_chunking()
        target = request_target.get()
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
