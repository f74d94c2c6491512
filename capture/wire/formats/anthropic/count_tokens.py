"""The counting of the tokens of a request to Messages, which is free (`registry.FREE_FORMATS`):
https://docs.anthropic.com/en/api/messages-count-tokens"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.json.fields import fields
from capture.wire.shared import responses
from capture.wire.shared.usage import read_input_tokens
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult

NAME = "anthropic_count_tokens"
PROVIDER = "anthropic"


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    return anthropic_messages.parse_request(body, path=path, content_type=content_type)


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=openai_chat.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    """Returns none, as the call that the tokens are counted for brings them again."""
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.anthropic_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    return ParsedResponse(usage=read_input_tokens(fields(value)))
