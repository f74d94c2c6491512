"""The format of captured paths that no other matches: what nearly all APIs have in common."""

from __future__ import annotations

from capture.wire import errors
from capture.wire.framing import sse
from capture.wire.json.fields import fields, text
from capture.wire.shared import requests, responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult

NAME = "raw"
PROVIDER = "unknown"


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    """Reads no parts and no parameters, as it is not known which field holds the history."""
    parsed_request, _ = requests.read_common(body, {}, ())
    return ParsedRequest(
        model_id=parsed_request.model_id, stream=parsed_request.stream, note=parsed_request.note
    )


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    """Reads no content and no usage, as their meaning differs too much between APIs."""
    return responses.read_response(
        body,
        status,
        content_type,
        parse_json=_parse_json,
        parse_stream=_parse_stream,
        is_answer_due=False,
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    return ParsedResponse(
        response_model=text(response.get("model")), response_id=text(response.get("id"))
    )


def _parse_stream(body: bytes) -> ParsedResponse:
    parsed_response = ParsedResponse()
    for name, event, _ in sse.read_objects(body, []):
        parsed_response.complete = parsed_response.complete or name == sse.DONE
        if parsed_response.error is None:
            read = errors.message_of_event if name == "error" else errors.message_in
            parsed_response.error = read(event)
    return parsed_response
