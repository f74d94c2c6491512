"""Gemini's Live API: turns that the agent's messages or its voice set off, within one conversation
that the provider keeps.

https://ai.google.dev/api/live and the SDK's LiveClientMessage and LiveServerMessage.
"""

from __future__ import annotations

from typing import Any

import orjson

from capture.wire.json.fields import fields, objects, text
from capture.wire.json.lenient import load
from capture.wire.sockets.turns import (
    History,
    TurnEnded,
    TurnEvent,
    TurnMessage,
    TurnStarted,
    as_sse_event,
)

JSON = Any


class GeminiLiveTurnTracker:
    def __init__(self) -> None:
        self._n = 0
        self._setup: dict[str, JSON] = {}
        self._contents = History()
        self._n_contents = 0
        self._turn: int | None = None
        self._said: list[JSON] = []  # the parts that the model brought in this turn
        self._heard = ""  # what the provider understood of the agent's voice
        self._spoken = ""  # what the model's voice said

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        value = fields(load(message)[0])
        if "setup" in value:
            self._setup = fields(value["setup"])
            return []
        content = fields(_either(value, "clientContent", "client_content"))
        for turn in objects(content.get("turns")):
            self._add(turn)
        asks = bool(_either(content, "turnComplete", "turn_complete"))
        said = fields(_either(value, "realtimeInput", "realtime_input")).get("text")
        if text(said):
            self._add({"role": "user", "parts": [{"text": said}]})
            asks = True
        response = fields(_either(value, "toolResponse", "tool_response"))
        results = objects(_either(response, "functionResponses", "function_responses"))
        steps: list[TurnEvent] = []
        if results:
            steps += self._ends()
            parts = [{"functionResponse": result} for result in results]
            self._add({"role": "user", "parts": parts})
        if (asks or results) and self._turn is None:
            steps.append(self._begins())
        return steps

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        value = fields(load(message)[0])
        content = fields(value.get("serverContent"))
        call = fields(value.get("toolCall"))
        steps: list[TurnEvent] = []
        self._heard += text(fields(content.get("inputTranscription")).get("text")) or ""
        if self._turn is None:
            if not (content.get("modelTurn") or content.get("outputTranscription") or call):
                return []
            steps.append(self._begins())
        assert self._turn is not None
        self._said += objects(fields(content.get("modelTurn")).get("parts"))
        self._said += [{"functionCall": one} for one in objects(call.get("functionCalls"))]
        self._spoken += text(fields(content.get("outputTranscription")).get("text")) or ""
        steps.append(TurnMessage(self._turn, as_sse_event(message)))
        if content.get("turnComplete") is True:
            steps += self._ends()
        return steps

    def _begins(self) -> TurnEvent:
        self._n += 1
        self._turn = self._n
        if self._heard:
            self._add({"role": "user", "parts": [{"text": self._heard}]})
            self._heard = ""
        parsed_request = orjson.dumps(self._setup)
        return TurnStarted(
            self._turn,
            parsed_request[:-1]
            + b'%b"contents":%b}' % (b"," if self._setup else b"", self._contents.as_array()),
        )

    def _ends(self) -> list[TurnEvent]:
        if self._turn is None:
            return []
        turn, self._turn = self._turn, None
        parts = [part for part in self._said if "inlineData" not in part]
        if self._spoken:
            parts.append({"text": self._spoken})
        if parts:
            self._add({"role": "model", "parts": parts})
        self._said, self._spoken = [], ""
        return [TurnEnded(turn)]

    def _add(self, content: JSON) -> None:
        self._n_contents += 1
        self._contents.put(str(self._n_contents), orjson.dumps(content))


def _either(value: dict[str, JSON], camel: str, snake: str) -> JSON:
    return value.get(camel, value.get(snake))
