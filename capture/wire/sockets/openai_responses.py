"""The turns of Responses over a WebSocket: each `response.create` is the body of an HTTP request,
and its response comes until its last event, one response at a time.

https://platform.openai.com/docs/guides/websocket-mode and the SDK's ResponsesConnection.
"""

from __future__ import annotations

from collections import deque

import msgspec

from capture.wire.formats.openai.responses import ENDS
from capture.wire.json.fields import text
from capture.wire.json.lenient import load
from capture.wire.sockets.turns import (
    TurnEnded,
    TurnEvent,
    TurnMessage,
    TurnStarted,
    as_sse_event,
    read_odd_event,
)


class _EventType(msgspec.Struct):
    type: str = ""


_read = msgspec.json.Decoder(_EventType).decode


class ResponsesTurnTracker:
    def __init__(self) -> None:
        self._n = 0
        self._open: deque[int] = deque()

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        if _type_of(message) != "response.create":
            return []
        self._n += 1
        self._open.append(self._n)
        return [TurnStarted(self._n, message)]

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        kind = _type_of(message)
        if not self._open or kind is None:
            return []
        turn = self._open[0]
        steps: list[TurnEvent] = [TurnMessage(turn, as_sse_event(message))]
        if kind in ENDS or kind == "error":
            self._open.popleft()
            steps.append(TurnEnded(turn))
        return steps


def _type_of(message: bytes) -> str | None:
    try:
        return _read(message).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = read_odd_event(message, ("type",))
        return text(load(found.get("type", b""))[0])
