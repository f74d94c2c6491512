"""The turns of Gemini's Live API. The agent's messages or its voice begin them, within one
conversation that the provider keeps.

https://ai.google.dev/api/live and the SDK's LiveClientMessage and LiveServerMessage.
"""

from __future__ import annotations

from typing import Any

from capture.wire.json.fields import fields, objects, text
from capture.wire.json.lenient import dump, load
from capture.wire.sockets.turns import (
    MAX_HISTORY,
    History,
    TurnEnded,
    TurnEvent,
    TurnMessage,
    TurnStarted,
    as_sse_event,
)

JSON = Any
# What the model sent in one turn that is kept for the next turn's request.
MAX_TURN_PARTS = 10_000


class GeminiLiveTurnTracker:
    def __init__(self) -> None:
        self._n = 0
        self._setup: dict[str, JSON] = {}
        self._contents = History()
        self._n_contents = 0
        self._turn: int | None = None
        self._parts: list[JSON] = []  # what the model sent in this turn
        self._heard = ""  # the transcript of the agent's voice
        self._spoken = ""  # the transcript of the model's voice

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        value = fields(load(message)[0])
        if "setup" in value:
            self._setup = fields(value["setup"])
            return []
        content = fields(_either(value, "clientContent", "client_content"))
        for turn in objects(content.get("turns")):
            self._add(turn)
        is_request = bool(_either(content, "turnComplete", "turn_complete"))
        typed = fields(_either(value, "realtimeInput", "realtime_input")).get("text")
        if text(typed):
            self._add({"role": "user", "parts": [{"text": typed}]})
            is_request = True
        response = fields(_either(value, "toolResponse", "tool_response"))
        results = objects(_either(response, "functionResponses", "function_responses"))
        steps: list[TurnEvent] = []
        if results:
            steps += self._end()
            parts = [{"functionResponse": result} for result in results]
            self._add({"role": "user", "parts": parts})
        if (is_request or results) and self._turn is None:
            steps.append(self._begin())
        return steps

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        value = fields(load(message)[0])
        content = fields(value.get("serverContent"))
        call = fields(value.get("toolCall"))
        steps: list[TurnEvent] = []
        heard = text(fields(content.get("inputTranscription")).get("text"))
        self._heard = _append(self._heard, heard)
        if self._turn is None:
            if not (content.get("modelTurn") or content.get("outputTranscription") or call):
                return []
            steps.append(self._begin())
        assert self._turn is not None
        self._parts += objects(fields(content.get("modelTurn")).get("parts"))
        self._parts += [{"functionCall": one} for one in objects(call.get("functionCalls"))]
        spoken = text(fields(content.get("outputTranscription")).get("text"))
        self._spoken = _append(self._spoken, spoken)
        del self._parts[:-MAX_TURN_PARTS]
        steps.append(TurnMessage(self._turn, as_sse_event(message)))
        if content.get("turnComplete") is True:
            steps += self._end()
        return steps

    def _begin(self) -> TurnEvent:
        self._n += 1
        self._turn = self._n
        if self._heard:
            self._add({"role": "user", "parts": [{"text": self._heard}]})
            self._heard = ""
        parsed_request = dump(self._setup).encode()
        return TurnStarted(
            self._turn,
            parsed_request[:-1]
            + b'%b"contents":%b}' % (b"," if self._setup else b"", self._contents.as_array()),
        )

    def _end(self) -> list[TurnEvent]:
        if self._turn is None:
            return []
        turn, self._turn = self._turn, None
        parts = [part for part in self._parts if "inlineData" not in part]
        if self._spoken:
            parts.append({"text": self._spoken})
        if parts:
            self._add({"role": "model", "parts": parts})
        self._parts, self._spoken = [], ""
        return [TurnEnded(turn)]

    def _add(self, content: JSON) -> None:
        self._n_contents += 1
        self._contents.put(str(self._n_contents), dump(content).encode())


def _append(texts: str, more: str | None) -> str:
    return (texts + more)[-MAX_HISTORY:] if more else texts


def _either(value: dict[str, JSON], camel: str, snake: str) -> JSON:
    return value.get(camel, value.get(snake))
