"""OpenAI's moderations, which are free: https://platform.openai.com/docs/api-reference/moderations

They have no usage and no text; their cost is 0, as they are one of `registry.FREE_FORMATS`.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.shared import requests, responses
from capture.wire.types import ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "openai_moderations"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"input": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    return requests.read_common(body, _parts, ())[0]


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body,
        status,
        content_type,
        parse_json=openai_chat.read_json,
        parse_stream=openai_chat.read_stream,
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)
