"""The counting of the tokens of a request to Gemini, which is free (`registry.FREE_FORMATS`):
https://ai.google.dev/api/tokens"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import usage as gemini_usage
from capture.wire.json.fields import fields
from capture.wire.shared import responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult

NAME = "gemini_count_tokens"
PROVIDER = "google"


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    return gemini.parse_request(body, path=path, content_type=content_type)


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=gemini.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    """Returns none, as the call that the tokens are counted for brings them again."""
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    return ParsedResponse(usage=gemini_usage.read_token_count(fields(value)))
