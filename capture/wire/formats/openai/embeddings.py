"""OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings

The vectors, which its Python SDK requests as base64, are not text and are left out.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.shared import requests, responses
from capture.wire.types import ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "openai_embeddings"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"input": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ())
    requests.join_tokens(parsed_request, body)
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    """`tokens_out` stays None, as the API sends no number, not even 0."""
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
