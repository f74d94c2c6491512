"""OpenAI's completions: https://platform.openai.com/docs/api-reference/completions

Its responses are those of chat completions with a text in place of the message. Mistral's responses
to `fim/completions` have the message.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.framing import sse
from capture.wire.json.fields import fields, objects
from capture.wire.shared import requests, responses, thoughts
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "openai_completions"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"prompt": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ("max_tokens",))
    requests.join_tokens(parsed_request, body)
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_json(value: JSON) -> ParsedResponse:
    return openai_chat.read_json(_as_chat(fields(value)))


def _parse_stream(body: bytes) -> ParsedResponse:
    unread: list[int] = []
    events = ((name, _as_chat(chunk), end) for name, chunk, end in sse.read_objects(body, unread))
    parsed_response = openai_chat.read_events(events)
    parsed_response.note = sse.note(unread, body)
    return parsed_response


def _as_chat(response: dict[str, JSON]) -> dict[str, JSON]:
    for choice in objects(response.get("choices")):
        if "text" in choice:
            found = {name: choice[name] for name in thoughts.NAMES & choice.keys()}
            choice["message"] = choice["delta"] = {**found, "content": choice["text"]}
    return response
