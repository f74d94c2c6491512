"""OpenAI's first API, text that goes on: https://platform.openai.com/docs/api-reference/completions

Its answers are those of chat completions with a text where these have a message. Mistral's answers
to `fim/completions` have the message.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.framing import sse
from capture.wire.json.fields import fields, objects
from capture.wire.shared import requests, responses
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolResult

NAME = "openai_completions"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"prompt": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, _ = requests.read_common(body, _parts, ("max_tokens",))
    requests.join_tokens(asked, body)
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(body, status, content_type, whole=_parse_whole, stream=_parse_stream)


def tool_results(message: bytes) -> list[ToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_whole(value: JSON) -> Answered:
    return openai_chat.read_whole(_as_chat(fields(value)))


def _parse_stream(body: bytes) -> Answered:
    unread: list[int] = []
    events = ((name, _as_chat(chunk), end) for name, chunk, end in sse.objects(body, unread))
    answered = openai_chat.read_events(events)
    answered.note = sse.note(unread, body)
    return answered


def _as_chat(answer: dict[str, JSON]) -> dict[str, JSON]:
    for choice in objects(answer.get("choices")):
        if "text" in choice:
            choice["message"] = choice["delta"] = {"content": choice["text"]}
    return answer
