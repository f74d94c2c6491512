"""HTTP as Daphne's server speaks it: uploads do not fill the memory, and the application waits
for slow agents."""

from __future__ import annotations

import asyncio
import io
from tempfile import TemporaryFile
from typing import IO, Any

from daphne import http_protocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from capture.server.tcp_connection import AgentConnection
from capture.upstream.headers import HEADER_LIMIT

# Uploads up to this size stay in memory while they come in; larger ones go through a temporary
# file.
MAX_IN_MEMORY = 1024 * 1024
READ_SIZE = 256 * 1024
# Daphne refuses values with any of these bytes, one of which is a part of "Å" in UTF-8.
http_protocol.INVALID_HEADER_VALUE_BYTES = frozenset()


class AgentChannel(HTTPChannel):
    """The HTTP requests of one connection. It can be waited for while the agent reads slowly."""

    # Twisted declares the interface of all transports.
    transport: AgentConnection  # type: ignore[assignment]

    totalHeadersSize = HEADER_LIMIT
    MAX_LENGTH = HEADER_LIMIT

    def __init__(self) -> None:
        super().__init__()
        self._writable = asyncio.Event()
        self._writable.set()

    # An attribute of HTTPChannel, which Daphne's factory sets to its own class on each channel.
    @property  # type: ignore[override]
    def requestFactory(self) -> type[AgentRequest]:
        return AgentRequest

    @requestFactory.setter
    def requestFactory(self, factory: Any) -> None:
        pass

    def pauseProducing(self) -> None:
        self._writable.clear()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._writable.set()
        super().resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._writable.set()
        super().connectionLost(reason)

    async def until_writable(self) -> None:
        if not self._writable.is_set():
            await self._writable.wait()


class AgentRequest(http_protocol.WebRequest):  # type: ignore[misc]  # Daphne has no types
    content: IO[bytes]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, parsePOSTFormSubmission=False)

    def gotLength(self, length: int | None) -> None:
        small = length is not None and length <= MAX_IN_MEMORY
        self.content = io.BytesIO() if small else TemporaryFile()  # noqa: SIM115 (HttpInbox closes)

    def take_content(self) -> IO[bytes]:
        """Returns the request's body and leaves an empty one to Daphne, which would read all of it
        at once."""
        content, self.content = self.content, io.BytesIO()
        return content

    def process(self) -> Any:
        # A WebSocket's own class gets only some headers, and those of one name joined into one: it
        # finds all of them here.
        self.server.ws_factory.upgraded = self
        return super().process()

    def close_unfinished(self, error: str = "") -> None:
        """Ends the connection of a response that was not completed, as its upstream did."""
        if self.finished or getattr(self, "channel", None) is None:
            return
        if error and not self._response_started:
            self.basic_error(500, b"Internal Server Error", "")
        else:
            self.channel.loseConnection()


class HttpInbox:
    """The messages of a request. Daphne puts all of a body in at once; it is handed out in parts,
    as it is asked for."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._left = content.seek(0, io.SEEK_END)
        content.seek(0)
        self._is_read = False
        self._disconnected = asyncio.Event()

    def put_nowait(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.disconnect":
            self._disconnected.set()

    def close(self) -> None:
        self._content.close()

    async def receive(self) -> dict[str, Any]:
        if self._is_read or self._disconnected.is_set():
            await self._disconnected.wait()
            return {"type": "http.disconnect"}
        body = self._content.read(READ_SIZE if self._left > MAX_IN_MEMORY else self._left)
        self._left -= len(body)
        self._is_read = self._left <= 0 or not body
        return {"type": "http.request", "body": body, "more_body": not self._is_read}
