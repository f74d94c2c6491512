"""Responses over a WebSocket: each `response.create` is the body of an HTTP request, and what comes
until its last event is that response, one at a time.

https://platform.openai.com/docs/guides/websocket-mode and the SDK's ResponsesConnection.
"""

from __future__ import annotations

from collections import deque

import msgspec

from capture.wire.formats.openai.responses import ENDS
from capture.wire.sockets.turns import Begins, Comes, Ends, Step, as_event


class _Event(msgspec.Struct):
    type: str = ""


_read = msgspec.json.Decoder(_Event).decode


class ResponsesTurns:
    def __init__(self) -> None:
        self._n = 0
        self._open: deque[int] = deque()

    def sent(self, message: bytes) -> list[Step]:
        if _type_of(message) != "response.create":
            return []
        self._n += 1
        self._open.append(self._n)
        return [Begins(self._n, message)]

    def came(self, message: bytes) -> list[Step]:
        kind = _type_of(message)
        if not self._open or kind is None:
            return []
        turn = self._open[0]
        steps: list[Step] = [Comes(turn, as_event(message))]
        if kind in ENDS or kind == "error":
            self._open.popleft()
            steps.append(Ends(turn))
        return steps


def _type_of(message: bytes) -> str | None:
    try:
        return _read(message).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
