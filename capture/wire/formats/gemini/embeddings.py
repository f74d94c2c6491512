"""Google's embeddings: https://ai.google.dev/api/embeddings

The vectors are not text and are left out.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import usage as gemini_usage
from capture.wire.json.fields import fields
from capture.wire.shared import requests, responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "gemini_embeddings"
PROVIDER = "google"

_parts: dict[str, PartKind] = {"content": "message", "requests": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ())
    parsed_request.model_id = gemini.model_in(path, parsed_request.model_id)
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=gemini.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    return ParsedResponse(usage=gemini_usage.read_usage(fields(value).get("usageMetadata")))
