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
    generate: msgspec.Raw = msgspec.Raw()


# Events that bring output; the others say how the request stands.
_OUTPUT = (
    "response.output",
    "response.content_part",
    "response.reasoning",
    "response.refusal",
    "response.function_call",
    "response.custom_tool_call",
    "response.mcp_call",
    "response.audio",
)

_read = msgspec.json.Decoder(_EventType).decode


class ResponsesTurnTracker:
    """With `generate: false` an agent only has its next turn prepared: such a request is no turn,
    unless the provider generates something all the same, as gateways do that do not know the field.
    """

    def __init__(self) -> None:
        self._n = 0
        self._open: deque[int] = deque()
        self._prepared: dict[int, list[TurnEvent]] = {}  # what is known of such requests

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        kind, generates = _read_event(message)
        if kind != "response.create":
            return []
        self._n += 1
        self._open.append(self._n)
        started = TurnStarted(self._n, message)
        if generates:
            return [started]
        self._prepared[self._n] = [started]
        return []

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        kind, _ = _read_event(message)
        if not self._open or kind is None:
            return []
        turn = self._open[0]
        steps: list[TurnEvent] = [TurnMessage(turn, as_sse_event(message))]
        if turn in self._prepared:
            steps = self._prepared[turn] = [*self._prepared[turn], *steps]
            if not kind.startswith(_OUTPUT):
                steps = []
            else:
                del self._prepared[turn]
        if kind in ENDS or kind == "error":
            self._open.popleft()
            if self._prepared.pop(turn, None) is None:
                steps.append(TurnEnded(turn))
        return steps


def _read_event(message: bytes) -> tuple[str | None, bool]:
    """Returns the type of a message, and whether it asks for something to be generated."""
    try:
        event = _read(message)
        return event.type, bytes(event.generate) != b"false"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = read_odd_event(message, ("type", "generate"))
        return text(load(found.get("type", b""))[0]), found.get("generate") != b"false"
