"""The server that `runproxy` runs: Daphne, with our own classes for its connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from daphne.server import Server as DaphneServer
from daphne.server import twisted_loop
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

from capture.server.http_protocol import AgentChannel, AgentRequest, HttpInbox
from capture.server.tcp_connection import AgentConnection
from capture.server.websocket_protocol import AgentWebSocket, WebSocketInbox
from capture.tasks import cancel_tasks

logger = logging.getLogger("agentledger.proxy")

reactor: Any = _reactor
loop: asyncio.AbstractEventLoop = twisted_loop

# Cancelling a call whose agent hung up is the proxy handler's own work.
APPLICATION_CLOSE_TIMEOUT_S = 3600

# Bytes of a WebSocket's message, which is in memory as a whole. OpenAI takes 15 MB of audio.
MAX_MESSAGE = 32 * 1024 * 1024


class Server(DaphneServer):  # type: ignore[misc]  # Daphne has no types
    """Serves from `run()` until `stop()`. `on_ready` is called with the ports once all listen."""

    def __init__(
        self,
        application: Any,
        *,
        host: str,
        ports: Sequence[int],
        on_ready: Callable[[list[int]], None],
    ):
        address = host.replace(":", r"\:")
        super().__init__(
            application,
            endpoints=[f"tcp:port={port}:interface={address}:backlog=1024" for port in ports],
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
        self.http_factory.protocol = AgentChannel
        self.ws_factory.protocol = AgentWebSocket
        self.ws_factory.setProtocolOptions(
            maxMessagePayloadSize=MAX_MESSAGE, maxFramePayloadSize=MAX_MESSAGE
        )
        port.transport = AgentConnection
        if len(self._ports) == len(self.endpoints):  # they listen in the order of the endpoints
            numbers = [listening.getHost().port for listening in self._ports]
            reactor.callWhenRunning(self.on_ready, numbers)

    def listen_error(self, failure: Any) -> None:
        self.listen_failure = failure.getErrorMessage()
        self.stop()

    def close_listener(self) -> None:
        while self._ports:
            self._ports.pop().stopListening()

    def create_application(
        self, protocol: AgentRequest | AgentWebSocket, scope: dict[str, Any]
    ) -> HttpInbox | WebSocketInbox:
        """Starts a task for a request or a WebSocket. Returns where Daphne puts its messages."""
        inbox: HttpInbox | WebSocketInbox
        if isinstance(protocol, AgentRequest):
            inbox = HttpInbox(protocol.take_content())
            request = protocol
        else:
            inbox = WebSocketInbox(protocol)
            request = protocol.upgraded
            # Autobahn would take what follows a second slash for a host.
            scope["raw_path"] = request.path
            scope["path"] = unquote_to_bytes(request.path).decode("utf-8", "replace")
            scope["extensions"] = {"websocket.http.response": {}}
        names = request.requestHeaders.getAllRawHeaders()
        scope["headers"] = [(name.lower(), value) for name, values in names for value in values]
        scope["root_path"] = ""
        scope["asgi"] = {"version": "3.0"}
        task = asyncio.ensure_future(self._serve(protocol, scope, inbox))
        self.connections[protocol]["application_instance"] = task
        return inbox

    async def _serve(
        self,
        protocol: AgentRequest | AgentWebSocket,
        scope: dict[str, Any],
        inbox: HttpInbox | WebSocketInbox,
    ) -> None:
        try:
            await self.application(scope, inbox.receive, partial(self.handle_reply, protocol))
        except Exception as error:  # whatever fails within a request must not end the server
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
        """Does at once what Daphne does once a second. Until then all requests of a second would
        stay in memory, where the garbage collector walks them, and going through all of them delays
        calls."""
        details = self.connections.get(protocol, {})
        if "disconnected" in details and "application_instance" not in details:
            del self.connections[protocol]

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Sends a message of the application, and waits while the agent reads slowly."""
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        if isinstance(protocol, AgentWebSocket):
            protocol.handle_reply(message)
            await protocol.until_writable()
            return
        channel: AgentChannel = protocol.channel  # gone from the request once it is complete
        with channel.transport.cork():
            protocol.handle_reply(message)
        await channel.until_writable()

    def running_applications(self) -> list[asyncio.Task[None]]:
        tasks = (details.get("application_instance") for details in self.connections.values())
        return [task for task in tasks if task is not None and not task.done()]

    async def cancel_applications(self) -> None:
        # They may have calls to end and to settle first.
        await cancel_tasks(self.running_applications(), again_after_s=10)

    def kill_all_applications(self) -> Any:
        """Replaces Daphne's own, which fails on connections whose application has ended."""
        return Deferred.fromFuture(asyncio.ensure_future(self.cancel_applications()))
