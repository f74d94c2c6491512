"""Separates the turns that share a WebSocket; each is recorded as a call.

A connection may last for hours; what costs money is a turn: a request, and the response to it. The
messages of a turn are recorded as the events of a stream, so that one parser reads both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple, Protocol

import orjson

from capture.wire.json.field_reader import read_fields
from capture.wire.types import Unreadable

MAX_HISTORY = 1024 * 1024
"""The bytes of a connection's history that are kept for the next turn's request. The oldest items
are dropped."""


class TurnStarted(NamedTuple):
    """A turn has begun. `body` is its request, in the shape of the same API's HTTP requests."""

    turn: int
    body: bytes


class TurnMessage(NamedTuple):
    """A message of the provider that belongs to a turn, as an event of a stream."""

    turn: int
    piece: bytes


class TurnEnded(NamedTuple):
    turn: int


TurnEvent = TurnStarted | TurnMessage | TurnEnded


class TurnTracker(Protocol):
    """Follows the messages of one connection. A message that is not understood yields no event."""

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        """Takes the agent's next message, before the provider has it."""

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        """Takes the provider's next message, before the agent has it."""


def read_odd_event(message: bytes, names: Collection[str]) -> dict[str, bytes]:
    """Returns fields of a message that msgspec refuses, as raw JSON: with NaN, a BOM or bytes that
    are not UTF-8 a provider may accept it. Returns none of a message that is not JSON."""
    try:
        return dict(read_fields(message, lambda key: key if key in names else None))
    except Unreadable:
        return {}


def as_sse_event(message: bytes) -> bytes:
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"data: " + b"\ndata: ".join(lines) + b"\n\n"


class History:
    """JSON texts by key, in order of appearance. The oldest are dropped beyond MAX_HISTORY."""

    def __init__(self) -> None:
        # A plain dict takes longer to find its first key the more were removed before it.
        self._items: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def put(self, key: str, item: bytes) -> None:
        """Adds an item, or replaces the one of a known key, which keeps its position."""
        self._size += len(item) - len(self._items.get(key, b""))
        self._items[key] = item
        while self._size > MAX_HISTORY and len(self._items) > 1:
            _, oldest = self._items.popitem(last=False)
            self._size -= len(oldest)

    def remove(self, key: str) -> None:
        self._size -= len(self._items.pop(key, b""))

    def as_array(self) -> bytes:
        return b"[" + b",".join(self._items.values()) + b"]"


def as_object(fields: dict[str, bytes]) -> bytes:
    """Returns a JSON object of fields that are JSON already; empty ones are left out."""
    named = (orjson.dumps(name) + b":" + value for name, value in fields.items() if value)
    return b"{" + b",".join(named) + b"}"
