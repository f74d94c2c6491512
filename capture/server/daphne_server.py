"""Daphne, made fit for a transparent proxy.

As it comes it puts whole uploads into memory, never waits for a slow reader, drops header names
with an underscore, refuses values with "Å", parses forms, names itself in answers and cuts headers
at 16 KiB.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

# Daphne installs Twisted's reactor when it is imported: before anything else of Twisted.
from daphne.server import Server as DaphneServer
from daphne.server import twisted_loop

from twisted.internet import reactor as _reactor  # isort: skip
from daphne import http_protocol
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from capture.tasks import cancel_tasks
from capture.upstream.headers import HEADER_LIMIT

logger = logging.getLogger("agentledger.proxy")

reactor: Any = _reactor
loop: asyncio.AbstractEventLoop = twisted_loop

# Uploads up to this stay in memory while they come in; larger ones go through a temporary file.
IN_MEMORY = 1024 * 1024
READ_SIZE = 256 * 1024
# Of a WebSocket's messages, in bytes or characters.
MAX_WAITING = 1024 * 1024
# Cancelling a call whose agent has left is the fast lane's own work.
APPLICATION_CLOSE_TIMEOUT_S = 3600
# Daphne refuses values with any of these bytes, one of which is a part of "Å" in UTF-8.
http_protocol.INVALID_HEADER_VALUE_BYTES = frozenset()


class Server(DaphneServer):  # type: ignore[misc]
    """Serves from `run()` until `stop()`. `on_ready` is called with the port once it listens."""

    def __init__(self, application: Any, *, host: str, port: int, on_ready: Callable[[int], None]):
        address = host.replace(":", r"\:")
        super().__init__(
            application,
            endpoints=[f"tcp:port={port}:interface={address}:backlog=1024"],
            signal_handlers=False,
            server_name="",
            application_close_timeout=APPLICATION_CLOSE_TIMEOUT_S,
            verbosity=0,
        )
        self.on_ready = on_ready
        self.listen_failure: str | None = None
        self._ports: list[Any] = []

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        self.http_factory.protocol = Channel
        self.ws_factory.protocol = Socket
        self.ws_factory.setProtocolOptions(maxMessagePayloadSize=0, maxFramePayloadSize=0)
        port.transport = Connection
        reactor.callWhenRunning(self.on_ready, port.getHost().port)

    def listen_error(self, failure: Any) -> None:
        self.listen_failure = failure.getErrorMessage()
        self.stop()

    def close_listener(self) -> None:
        while self._ports:
            self._ports.pop().stopListening()

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        inbox: Inbox | Messages
        if isinstance(protocol, Request):
            inbox = Inbox(protocol.take_content())
            upgraded = protocol
        else:
            inbox = Messages(protocol)
            upgraded = protocol.upgraded
            # Autobahn would take what follows a second slash for a host.
            scope["raw_path"] = upgraded.path
            scope["path"] = unquote_to_bytes(upgraded.path).decode("utf-8", "replace")
            scope["extensions"] = {"websocket.http.response": {}}
        names = upgraded.requestHeaders.getAllRawHeaders()
        scope["headers"] = [(name.lower(), value) for name, values in names for value in values]
        scope["root_path"] = ""
        scope["asgi"] = {"version": "3.0"}
        task = asyncio.ensure_future(self._serve(protocol, scope, inbox))
        self.connections[protocol]["application_instance"] = task
        return inbox

    async def _serve(
        self, protocol: Request | Socket, scope: dict[str, Any], inbox: Inbox | Messages
    ) -> None:
        try:
            await self.application(scope, inbox.receive, partial(self.handle_reply, protocol))
        except Exception as error:
            logger.exception("%s %s failed", scope.get("method", "WebSocket"), scope["path"])
            protocol.close_unfinished(str(error))
        else:
            protocol.close_unfinished()
        finally:
            inbox.close()
            details = self.connections.get(protocol, {})
            details.pop("application_instance", None)
            self._forget_ended(protocol)

    def protocol_disconnected(self, protocol: Any) -> None:
        self.connections.get(protocol, {}).setdefault("disconnected", time.time())
        self._forget_ended(protocol)

    def _forget_ended(self, protocol: Any) -> None:
        """Daphne looks for these once a second: until then all requests of a second stay in memory,
        where the garbage collector walks them, and to look at them all holds up calls."""
        details = self.connections.get(protocol, {})
        if "disconnected" in details and "application_instance" not in details:
            del self.connections[protocol]

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        if isinstance(protocol, Socket):
            protocol.handle_reply(message)
            await protocol.until_writable()
            return
        channel: Channel = protocol.channel  # gone from the request once it is complete
        with channel.transport.corked():
            protocol.handle_reply(message)
        await channel.until_writable()

    def applications(self) -> list[asyncio.Task[None]]:
        tasks = (details.get("application_instance") for details in self.connections.values())
        return [task for task in tasks if task is not None and not task.done()]

    async def cancel_applications(self) -> None:
        # They may have calls to end and to settle first.
        await cancel_tasks(self.applications(), again_after_s=10)

    def kill_all_applications(self) -> Any:
        """Daphne's own fails on connections that have no application any more."""
        return Deferred.fromFuture(asyncio.ensure_future(self.cancel_applications()))


class Connection(tcp.Server):
    """Writes at once what the socket takes. Twisted waits for the reactor to say that it takes
    more, which for each piece of an answer are two calls of epoll_ctl and a turn of the loop."""

    # Twisted's 128 KiB make a piece of a long answer four system calls and as many turns.
    SEND_LIMIT = 1024 * 1024
    _corked = False

    @contextmanager
    def corked(self) -> Iterator[None]:
        """What is written within is sent in one go at the end."""
        self._corked = True
        try:
            yield
        finally:
            self._corked = False
            if self.connected and self._tempDataLen and not self._sent_all():
                self.startWriting()

    def _sent_all(self) -> bool:
        """If not, the reactor sends what is left, or finds out what is wrong."""
        if self.dataBuffer or self.disconnecting:
            return False
        return self.doWrite() is None and not (self.dataBuffer or self._tempDataLen)

    def startWriting(self) -> None:
        if not self._corked:
            super().startWriting()


class Channel(HTTPChannel):
    """A connection's HTTP, which can be waited for while the agent reads slowly."""

    transport: Connection  # type: ignore[assignment]

    totalHeadersSize = HEADER_LIMIT
    MAX_LENGTH = HEADER_LIMIT

    def __init__(self) -> None:
        super().__init__()
        self._writable = asyncio.Event()
        self._writable.set()

    @property  # type: ignore[override]
    def requestFactory(self) -> type[Request]:
        return Request

    @requestFactory.setter
    def requestFactory(self, factory: Any) -> None:
        """Daphne's factory sets its own class on each channel."""

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


class Request(http_protocol.WebRequest):  # type: ignore[misc]
    content: IO[bytes]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, parsePOSTFormSubmission=False)

    def gotLength(self, length: int | None) -> None:
        small = length is not None and length <= IN_MEMORY
        self.content = io.BytesIO() if small else TemporaryFile()  # noqa: SIM115 (Inbox closes)

    def take_content(self) -> IO[bytes]:
        """The request's body. Daphne is left an empty one: it would read all of it at once."""
        content, self.content = self.content, io.BytesIO()
        return content

    def process(self) -> Any:
        # A WebSocket's own class gets the headers joined to one of a name, and not all of them.
        self.server.ws_factory.upgraded = self
        return super().process()

    def close_unfinished(self, error: str = "") -> None:
        """End the connection of an answer that was not completed, as its upstream did."""
        if self.finished or getattr(self, "channel", None) is None:
            return
        if error and not self._response_started:
            self.basic_error(500, b"Internal Server Error", "")
        else:
            self.channel.loseConnection()


class Socket(WebSocketProtocol):  # type: ignore[misc]
    """A WebSocket whose two ends wait for each other."""

    def __init__(self) -> None:
        super().__init__()
        self.upgraded: Request
        self._writable = asyncio.Event()
        self._writable.set()
        self._denial: list[bytes] = []

    def makeConnection(self, transport: Any) -> None:
        self.upgraded = self.factory.upgraded
        transport.unregisterProducer()  # it was HTTP's
        transport.registerProducer(self, True)
        super().makeConnection(transport)

    def pauseProducing(self) -> None:
        self._writable.clear()

    def resumeProducing(self) -> None:
        self._writable.set()

    def stopProducing(self) -> None:
        self._writable.set()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._writable.set()
        super().connectionLost(reason)

    async def until_writable(self) -> None:
        if not self._writable.is_set():
            await self._writable.wait()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.last_ping = time.time()
        message = {"bytes": payload} if isBinary else {"text": payload.decode()}
        self.application_queue.put_nowait({"type": "websocket.receive", **message})

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.server.protocol_disconnected(self)
        if hasattr(self, "application_queue"):
            self.application_queue.put_nowait(
                {"type": "websocket.disconnect", "code": code, "reason": reason}
            )

    def handle_reply(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                headers: dict[str, list[str]] = {}
                for name, value in message.get("headers", ()):
                    headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
                self.handshake_deferred.callback((message.get("subprotocol"), headers))
                del self.handshake_deferred
            case "websocket.send":
                text = message.get("text")
                self.sendMessage(message["bytes"] if text is None else text.encode(), text is None)
            case "websocket.close" if self.state == self.STATE_CONNECTING:
                self.serverReject()
            case "websocket.close":
                # Not sendClose, which lets a server say little more than "normal".
                reason = (message.get("reason") or "").encode()
                self.sendCloseFrame(code=message.get("code") or 1000, reasonUtf8=reason)
            case "websocket.http.response.start":
                lines = [b"HTTP/1.1 %d Denied" % message["status"]]
                lines += [name + b": " + value for name, value in message["headers"]]
                self._denial = [*lines, b"connection: close", b"", b""]
            case "websocket.http.response.body":
                self.sendData(b"\r\n".join(self._denial) + message.get("body", b""))
                self.dropConnection(abort=False)

    def close_unfinished(self, error: str = "") -> None:
        if self.state == self.STATE_CONNECTING and hasattr(self, "handshake_deferred"):
            if not self._denial:
                self.serverReject()
        elif self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=1011 if error else 1000)


class Messages:
    """What an agent has sent over its WebSocket. While much of it waits, no more is read."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._waiting = 0
        self._paused = False

    def put_nowait(self, message: dict[str, Any]) -> None:
        self._messages.put_nowait(message)
        self._waiting += _size(message)
        if self._waiting > MAX_WAITING and not self._paused:
            self._paused = True
            self._socket.transport.pauseProducing()

    async def receive(self) -> dict[str, Any]:
        message = await self._messages.get()
        self._waiting -= _size(message)
        if self._paused and self._waiting <= MAX_WAITING // 2:
            self._paused = False
            self._socket.transport.resumeProducing()
        return message

    def close(self) -> None:
        """Nobody receives any more."""


def _size(message: dict[str, Any]) -> int:
    return len(message.get("text") or message.get("bytes") or b"")


class Inbox:
    """What Daphne puts into a queue, all of a body at once, given out on demand."""

    def __init__(self, content: IO[bytes]) -> None:
        self.content = content
        self._left = content.seek(0, io.SEEK_END)
        content.seek(0)
        self._taken = False
        self._disconnected = asyncio.Event()

    def put_nowait(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.disconnect":
            self._disconnected.set()

    def close(self) -> None:
        self.content.close()

    async def receive(self) -> dict[str, Any]:
        if self._taken or self._disconnected.is_set():
            await self._disconnected.wait()
            return {"type": "http.disconnect"}
        body = self.content.read(READ_SIZE if self._left > IN_MEMORY else self._left)
        self._left -= len(body)
        self._taken = self._left <= 0 or not body
        return {"type": "http.request", "body": body, "more_body": not self._taken}


def on_signal(number: int, handler: Callable[[], None]) -> None:
    loop.add_signal_handler(number, handler)
