"""OpenAI's decisions: questions about an input, requested and counted as in Responses, whose
answers are verdicts instead of text: https://platform.openai.com/docs/api-reference/decisions"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.formats.openai import responses as openai_responses
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.json.fields import fields, text
from capture.wire.json.lenient import clean_json, dump
from capture.wire.shared import requests
from capture.wire.shared import responses as shared_responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "openai_decisions"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"input": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ())
    parsed_request.system_prompt = requests.system_prompt(requests.prompts_in(parsed_request, body))
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    """The content is the JSON text of the answers."""
    return shared_responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=openai_chat.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return openai_responses.tool_results(message)


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    answers = response.get("answers")
    return ParsedResponse(
        response_model=text(response.get("model")),
        response_id=text(response.get("id")),
        content=dump(clean_json(answers)) if answers else None,
        usage=openai_usage.read_usage(response.get("usage")),
    )
