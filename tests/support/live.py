"""A client of the live feed at /ws."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.support.ledger import Ledger

Message = dict[str, Any]


class Listener:
    """A connected client, and the messages that no test has asked for yet."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket
        self.messages: list[Message] = []

    def wait_for(self, key: str, timeout_s: float = 30) -> Message:
        """Removes and returns the next message with this key."""
        end = time.monotonic() + timeout_s
        while True:
            for message in self.messages:
                if key in message:
                    self.messages.remove(message)
                    return message
            self.messages.append(json.loads(self.socket.recv(end - time.monotonic())))

    def session(self, session_id: str) -> Message:
        """Returns the next totals of this session."""
        while True:
            for session in self.wait_for("sessions")["sessions"]:
                if session["session_id"] == session_id:
                    totals: Message = session
                    return totals

    def calls_until_quiet(self) -> list[Message]:
        """Returns the recorded calls that come until nothing has come for more than a second."""
        try:
            while True:
                self.messages.append(json.loads(self.socket.recv(1.2)))
        except TimeoutError:
            return [call for message in self.messages for call in message.get("calls", ())]

    def calls(self, count: int) -> list[Message]:
        """Returns the next recorded calls, `count` of them or more."""
        found: list[Message] = []
        while len(found) < count:
            found += self.wait_for("calls")["calls"]
        return found


@contextmanager
def listen(
    ledger: Ledger, query: str = "", headers: dict[str, str] | None = None
) -> Iterator[tuple[Listener, Message]]:
    """Yields a client that has connected, and the hello that it got."""
    url = ledger.url.replace("http", "ws") + f"/ws?{query}"
    with connect(url, additional_headers=headers or {}, max_size=None) as socket:
        listener = Listener(socket)
        hello = json.loads(socket.recv(30))
        assert hello["type"] == "hello"
        yield listener, hello


def refusal(ledger: Ledger, query: str = "", **headers: str) -> httpx.Response:
    """Returns the response to a handshake that is denied."""
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(f"{ledger.url.replace('http', 'ws')}/ws?{query}", additional_headers=headers),
    ):
        pass
    response = caught.value.response
    return httpx.Response(response.status_code, content=bytes(response.body or b""))
