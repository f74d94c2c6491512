"""OpenAI's images: https://platform.openai.com/docs/api-reference/images

The images themselves, base64 or a URL, are not text and are left out; a prompt that the model
rewrote is the content.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.framing import multipart, sse
from capture.wire.json.fields import fields, join_text, objects, text
from capture.wire.shared import failures, requests, responses
from capture.wire.shared.usage import add_up
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
    Usage,
)

NAME = "openai_images"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"prompt": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    """A request for edits or variations is a form."""
    if multipart.is_multipart(body, content_type):
        return multipart.read_request(body, content_type)
    return requests.read_common(body, _parts, ())[0]


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _parse_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    prompts = [text(image.get("revised_prompt")) for image in objects(response.get("data"))]
    return ParsedResponse(
        response_model=text(response.get("model")),
        response_id=text(response.get("id")),
        content=join_text([prompt for prompt in prompts if prompt], "\n"),
        usage=openai_usage.read_image_usage(response),
    )


def _parse_stream(body: bytes) -> ParsedResponse:
    """Each image's last event has the usage of that image."""
    parsed_response = ParsedResponse()
    usages: list[Usage] = []
    unread: list[int] = []
    for name, event, end in sse.read_objects(body, unread):
        if name.endswith(".completed"):
            parsed_response.complete = True
            image_usage = openai_usage.read_image_usage(event)
            usages += [image_usage] if image_usage else []
        elif found := failures.message_of_event(name, event):
            parsed_response.error = parsed_response.error or found
        if "b64_json" in event and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
    parsed_response.complete = parsed_response.complete or parsed_response.error is not None
    parsed_response.usage = add_up(usages)
    parsed_response.note = sse.note(unread, body)
    return parsed_response
