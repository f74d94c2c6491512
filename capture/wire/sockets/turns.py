"""The responses that share a WebSocket, told apart: each becomes a call of its own.

What an agent sends and the provider answers over hours is one connection; a turn is what it costs
money for. Messages of a turn are kept as the events of a stream, so that one parser reads both.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import orjson

MAX_HISTORY = 1024 * 1024
"""Bytes of a connection's history that are kept for the next turn's request; the oldest go."""


class TurnStarted(NamedTuple):
    """`body`: what the model is asked, in the shape of the same API's HTTP requests."""

    turn: int
    body: bytes


class TurnMessage(NamedTuple):
    turn: int
    piece: bytes


class TurnEnded(NamedTuple):
    turn: int


TurnEvent = TurnStarted | TurnMessage | TurnEnded


class TurnTracker(Protocol):
    """Of one connection. What is not understood is no step."""

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        """The agent's next message, before the provider has it."""

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        """The provider's next message, before the agent has it."""


def as_sse_event(message: bytes) -> bytes:
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"data: " + b"\ndata: ".join(lines) + b"\n\n"


class History:
    """JSON texts by key, in order of appearance, the oldest of them dropped beyond the bound."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}
        self._size = 0

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def put(self, key: str, item: bytes) -> None:
        """A known key keeps its place."""
        self._size += len(item) - len(self._items.get(key, b""))
        self._items[key] = item
        while self._size > MAX_HISTORY and len(self._items) > 1:
            self.remove(next(iter(self._items)))

    def remove(self, key: str) -> None:
        self._size -= len(self._items.pop(key, b""))

    def as_array(self) -> bytes:
        return b"[" + b",".join(self._items.values()) + b"]"


def as_object(fields: dict[str, bytes]) -> bytes:
    """A JSON object of fields that are JSON already; empty ones are left out."""
    named = (orjson.dumps(name) + b":" + value for name, value in fields.items() if value)
    return b"{" + b",".join(named) + b"}"
