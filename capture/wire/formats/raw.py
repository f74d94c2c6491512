"""Paths that are captured without a wire format of ours: what nearly every API has in common."""

from __future__ import annotations

from capture.wire import errors
from capture.wire.framing import sse
from capture.wire.json.fields import fields, text
from capture.wire.shared import requests, responses
from capture.wire.types import JSON, Answered, Asked, ToolResult

NAME = "raw"
PROVIDER = "unknown"


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    """No parts and no parameters: which field holds the history is not known."""
    asked, _ = requests.read_common(body, {}, ())
    return Asked(model_id=asked.model_id, stream=asked.stream, note=asked.note)


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    """No content and no usage: their meaning differs too much between APIs to be guessed."""
    return responses.read(body, status, content_type, whole=_parse_whole, stream=_parse_stream)


def tool_results(message: bytes) -> list[ToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_whole(value: JSON) -> Answered:
    answer = fields(value)
    return Answered(response_model=text(answer.get("model")), response_id=text(answer.get("id")))


def _parse_stream(body: bytes) -> Answered:
    answered = Answered()
    for name, event, _ in sse.objects(body, []):
        answered.complete = answered.complete or name == sse.DONE
        if answered.error is None:
            answered.error = errors.message_in(event)
    return answered
