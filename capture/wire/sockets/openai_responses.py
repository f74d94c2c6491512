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

_NOTHING = msgspec.Raw()
_NO_ERRORS = (b"", b"null", b"false", b'""', b"{}")


class _Event(msgspec.Struct):
    type: str = ""
    generate: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING

    def generates(self) -> bool:
        return bytes(self.generate) != b"false"

    def ends_response(self) -> bool:
        """A gateway's error may have no type."""
        return self.type in ENDS or self.type == "error" or bytes(self.error) not in _NO_ERRORS


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

_read = msgspec.json.Decoder(_Event).decode


class ResponsesTurnTracker:
    """With `generate: false` an agent only has its next turn prepared: such a request is no turn,
    unless the provider generates something all the same, as gateways do that do not know the field.
    """

    def __init__(self) -> None:
        self._n = 0
        self._open: deque[int] = deque()
        self._prepared: dict[int, list[TurnEvent]] = {}  # what is known of such requests

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        event = _read_event(message)
        if event is None or event.type != "response.create":
            return []
        self._n += 1
        self._open.append(self._n)
        started = TurnStarted(self._n, message)
        if event.generates():
            return [started]
        self._prepared[self._n] = [started]
        return []

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        event = _read_event(message)
        if not self._open or event is None:
            return []
        turn = self._open[0]
        steps: list[TurnEvent] = [TurnMessage(turn, as_sse_event(message))]
        if turn in self._prepared:
            steps = self._prepared[turn] = [*self._prepared[turn], *steps]
            if not event.type.startswith(_OUTPUT):
                steps = []
            else:
                del self._prepared[turn]
        if event.ends_response():
            self._open.popleft()
            if self._prepared.pop(turn, None) is None:
                steps.append(TurnEnded(turn))
        return steps


def _read_event(message: bytes) -> _Event | None:
    try:
        return _read(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = read_odd_event(message, _Event.__struct_fields__)
        if not found:
            return None
        generate, error = (msgspec.Raw(found.get(name, b"")) for name in ("generate", "error"))
        return _Event(text(load(found.get("type", b""))[0]) or "", generate, error)
