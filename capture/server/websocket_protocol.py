"""WebSockets as Daphne's server speaks them: both ends wait for each other, and headers, close
codes and denials pass as they are."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from capture.server.http_protocol import AgentRequest

# Bytes or characters of an agent's messages that may wait for the upstream.
MAX_WAITING = 1024 * 1024


class AgentWebSocket(WebSocketProtocol):  # type: ignore[misc]  # Daphne has no types
    def __init__(self) -> None:
        super().__init__()
        self.upgraded: AgentRequest  # the handshake as it came
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
        """Sends what a message of the application says."""
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
                # Not sendClose, which allows a server few codes but "normal".
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


class WebSocketInbox:
    """The messages of an agent's WebSocket. While many of them wait, no more are read."""

    def __init__(self, socket: AgentWebSocket) -> None:
        self._socket = socket
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._waiting = 0
        self._is_paused = False

    def put_nowait(self, message: dict[str, Any]) -> None:
        self._messages.put_nowait(message)
        self._waiting += _size(message)
        if self._waiting > MAX_WAITING and not self._is_paused:
            self._is_paused = True
            self._socket.transport.pauseProducing()

    async def receive(self) -> dict[str, Any]:
        message = await self._messages.get()
        self._waiting -= _size(message)
        if self._is_paused and self._waiting <= MAX_WAITING // 2:
            self._is_paused = False
            self._socket.transport.resumeProducing()
        return message

    def close(self) -> None:
        """Does nothing: no file is open, as in an HttpInbox."""


def _size(message: dict[str, Any]) -> int:
    return len(message.get("text") or message.get("bytes") or b"")
