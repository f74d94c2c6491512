"""Cohere's embeddings, version 2: https://docs.cohere.com/v2/reference/embed

The vectors are no text and are left out.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.cohere import chat as cohere_chat
from capture.wire.json.fields import fields, text
from capture.wire.shared import requests, responses, usage
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolResult

NAME = "cohere_embeddings"
PROVIDER = "cohere"

_parts: dict[str, PartKind] = {"texts": "message", "images": "message", "inputs": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, _ = requests.read_common(body, _parts, ())
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(
        body, status, content_type, whole=_parse_whole, stream=cohere_chat.read_stream
    )


def tool_results(message: bytes) -> list[ToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.cohere_body(message, request_id=request_id)


def _parse_whole(value: JSON) -> Answered:
    """`tokens_out` stays None: the API tells none."""
    answer = fields(value)
    return Answered(response_id=text(answer.get("id")), usage=usage.cohere(answer.get("meta")))
