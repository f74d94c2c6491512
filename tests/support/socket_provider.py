"""A stand-in provider that speaks WebSocket, on a free port of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from websockets.http11 import Request, Response
from websockets.sync.connection import Connection
from websockets.sync.server import ServerConnection, serve

Handler = Callable[[ServerConnection], None]


class SocketProvider:
    """`handler` talks with each client. `requests` are the handshakes that came, `closes` how the
    connections ended. With `denial`, all handshakes get that status and body."""

    def __init__(self, handler: Handler, *, denial: tuple[int, str] | None = None) -> None:
        self.program(handler, denial=denial)
        self._server = serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._process,
            max_size=None,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.port = self._server.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def program(self, handler: Handler, *, denial: tuple[int, str] | None = None) -> None:
        """For the clients that come from now on; of those before nothing is known any more."""
        self._handler = handler
        self._denial = denial
        self.requests: list[Request] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self.ended = threading.Semaphore(0)

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self._denial is None:
            return None
        status, body = self._denial
        response = connection.respond(HTTPStatus(status), body)
        response.headers["x-request-id"] = "req_denied"
        return response

    def _serve(self, connection: ServerConnection) -> None:
        handler, closes, ended = self._handler, self.closes, self.ended
        try:
            handler(connection)
        finally:
            connection.close()
            closes.append((connection.close_code, connection.close_reason))
            ended.release()

    def __enter__(self) -> SocketProvider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()


def say(connection: Connection, *events: dict[str, Any]) -> None:
    for event in events:
        connection.send(json.dumps(event))


def hear(connection: Connection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(connection.recv(timeout=30))
    return event
