"""Ollama's own API: https://docs.ollama.com/api"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.framing import ndjson, sse
from capture.wire.json.fields import count, fields, number, objects, text, texts
from capture.wire.json.lenient import load
from capture.wire.shared import requests, responses, usage
from capture.wire.shared.choices import Choice, tell_choices
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolResult

NAME = "ollama"
PROVIDER = "ollama"

_parts: dict[str, PartKind] = {
    "system": "system",
    "messages": "message",
    "prompt": "message",
    "input": "message",
    "tools": "tools",
}

# The tokens of the answer before, and pictures as base64: no text, and long.
_LEFT_OUT = ("context", "images")

_EMBEDDING_PATHS = ("/embed", "/embeddings")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, raw = requests.read_common(body, _parts, ())
    asked.stream = bool(raw) and not path.endswith(_EMBEDDING_PATHS) and _streams(raw)
    for name in ("stream", *_LEFT_OUT):
        asked.params.pop(name, None)
    top = texts(load(raw["system"])[0]) if "system" in raw else []
    asked.system_prompt = requests.system_prompt(top, requests.prompts_in(asked, body))
    options = fields(asked.params.get("options"))
    if asked.temperature is None:
        asked.temperature = number(options.get("temperature"))
    asked.max_tokens = count(options.get("num_predict"))  # -1 is none
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(
        body,
        status,
        content_type,
        whole=_parse_whole,
        stream=_parse_stream,
        is_stream=_is_stream,
    )


def tool_results(message: bytes) -> list[ToolResult]:
    value = fields(load(message)[0])
    if value.get("role") != "tool":
        return []
    return [
        ToolResult(
            tool_call_id=text(value.get("tool_call_id")),
            name=text(value.get("tool_name")) or text(value.get("name")),
            content=requests.plain_or_blocks(value.get("content")),
            is_error=False,
        )
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.ollama_body(message)


def _is_stream(body: bytes, content_type: str) -> bool:
    """One object that is not the last is a stream too, though it were cut off behind it."""
    return ndjson.is_stream(body, content_type) or b'"done":false' in body


def _streams(raw: dict[str, bytes]) -> bool:
    """It does unless told not to."""
    return load(raw.get("stream", b"true"))[0] is not False


class _Answer:
    """An answer that comes in one object or in many."""

    def __init__(self) -> None:
        self.answered = Answered()
        self._choice = Choice()
        self._n_calls = 0

    def add(self, piece: dict[str, JSON]) -> bool:
        """Whether it brought text, thoughts or a tool call: `chat` has them in a message."""
        answered = self.answered
        answered.response_model = text(piece.get("model")) or answered.response_model
        if piece.get("done") is True:
            answered.complete = True
        self._choice.stop_reason = text(piece.get("done_reason")) or self._choice.stop_reason
        answered.usage = usage.ollama(piece) or answered.usage
        message = fields(piece.get("message"))
        calls = objects(message.get("tool_calls"))
        # Each is whole; the numbers that newer servers give them begin anew with each line.
        numbered = [{**call, "index": self._n_calls + place} for place, call in enumerate(calls)]
        self._n_calls += len(calls)
        return self._choice.add(
            {
                "reasoning": message.get("thinking") or piece.get("thinking"),
                "content": message.get("content") or piece.get("response"),
                "tool_calls": numbered,
            }
        )

    def told(self) -> Answered:
        tell_choices(self.answered, {0: self._choice})
        return self.answered


def _parse_whole(value: JSON) -> Answered:
    answer = _Answer()
    answer.add(fields(value))
    return answer.told()


def _parse_stream(body: bytes) -> Answered:
    answer = _Answer()
    answered = answer.answered
    unread: list[int] = []
    for piece, end in ndjson.objects(body, unread):
        if piece.get("error"):
            answered.error = errors.message_of_event(piece)
            answered.complete = True
        if answer.add(piece) and answered.first_content_end is None:
            answered.first_content_end = end
    answered.note = sse.note(unread, body)
    return answer.told()
