"""Cohere's embeddings, version 2: https://docs.cohere.com/v2/reference/embed

The vectors are not text and are left out.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.cohere import chat as cohere_chat
from capture.wire.formats.cohere import usage as cohere_usage
from capture.wire.json.fields import fields, text
from capture.wire.shared import requests, responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "cohere_embeddings"
PROVIDER = "cohere"

_parts: dict[str, PartKind] = {"texts": "message", "images": "message", "inputs": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ())
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=cohere_chat.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.cohere_body(message, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    """`tokens_out` stays None, as the API sends no number."""
    response = fields(value)
    return ParsedResponse(
        response_id=text(response.get("id")), usage=cohere_usage.read_usage(response.get("meta"))
    )
