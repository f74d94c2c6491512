"""OpenAI's Responses, and their compaction, whose response is a shortened history:
https://platform.openai.com/docs/api-reference/responses"""

from __future__ import annotations

from collections.abc import Container, Iterable

from capture.wire import errors
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.formats.openai.chat import tier_in
from capture.wire.framing import sse
from capture.wire.json.fields import fields, join_text, objects, text, texts
from capture.wire.json.lenient import load
from capture.wire.limits import MAX_TOOL_CALLS, check
from capture.wire.shared import failures, requests, responses
from capture.wire.shared.output_items import (
    TEXT_FIELDS,
    OutputItems,
    has_output,
    is_tool_call,
    tool_call_of,
    tool_result_of,
)
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
)

NAME = "openai_responses"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"instructions": "system", "input": "message", "tools": "tools"}

ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
"""The events that end a stream."""

_LAST_STATUSES = ("completed", "incomplete", "failed", "cancelled")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, raw = requests.read_common(body, _parts, ("max_output_tokens",))
    top = texts(load(raw["instructions"])[0]) if "instructions" in raw else []
    parsed_request.system_prompt = requests.system_prompt(
        top, requests.prompts_in(parsed_request, body)
    )
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=read_json, parse_stream=_parse_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    result = tool_result_of(fields(load(message)[0]))
    return [result] if result else []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def read_json(value: JSON) -> ParsedResponse:
    event = fields(value)
    response = fields(event.get("response")) or event  # a relay may send the last event alone
    parsed_response = ParsedResponse()
    _set_response(parsed_response, response)
    output = objects(response.get("output"))
    _set_output(parsed_response, output)
    _set_stop(parsed_response, response)
    return parsed_response


def _parse_stream(body: bytes) -> ParsedResponse:
    return read_stream(body, ENDS)


def read_stream(body: bytes, ends: Container[str]) -> ParsedResponse:
    """Parses a stream that ends with an event of `ends`."""
    parsed_response = ParsedResponse()
    items = OutputItems()
    last: dict[str, JSON] = {}
    ended = False
    unread: list[int] = []
    for name, event, end in sse.read_objects(body, unread):
        has_content = items.add(name, event)
        if isinstance(event.get("response"), dict):
            last = event["response"]
            ended = ended or name in ends or last.get("status") == "failed"
            has_content = any(map(has_output, objects(last.get("output"))))
        elif event.get("object") == "response":  # it is whole, and not in an event of its own
            last, ended = event, event.get("status") in _LAST_STATUSES
            has_content = any(map(has_output, objects(last.get("output"))))
        elif not has_content and (found := failures.message_of_event(name, event)):
            parsed_response.error = parsed_response.error or found
        if has_content and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
    _set_response(parsed_response, last, items.heads())
    # An interrupted stream has no last response; some copies of the API leave its output empty.
    output = objects(last.get("output")) if ended else []
    if not any(map(has_output, output)):
        output = items.assemble() or output
    _set_output(parsed_response, output)
    if ended:
        _set_stop(parsed_response, last)
        parsed_response.error = parsed_response.error or errors.message_in(last)
    elif last.get("status") == "queued" or last.get("background") is True:
        parsed_response.stop_reason = text(last.get("status"))  # it can be fetched later
    parsed_response.complete = ended or parsed_response.error is not None
    parsed_response.note = sse.note(unread, body)
    return parsed_response


def _set_response(
    parsed_response: ParsedResponse,
    response: dict[str, JSON],
    streamed: Iterable[dict[str, JSON]] = (),
) -> None:
    parsed_response.response_model = text(response.get("model"))
    parsed_response.response_id = text(response.get("id"))
    parsed_response.usage = openai_usage.read_response_usage(response, streamed)
    parsed_response.service_tier = tier_in(response.get("service_tier"))


def _set_output(parsed_response: ParsedResponse, output: list[dict[str, JSON]]) -> None:
    content: list[str] = []
    reasoning: list[str] = []
    for item in output:
        kind = item.get("type")
        # A compaction repeats the user's messages.
        if kind == "message" and item.get("role") not in ("user", "developer", "system"):
            for part in objects(item.get("content")):
                content += next(filter(None, (texts(part.get(name)) for name in TEXT_FIELDS)), [])
        elif kind == "reasoning":
            reasoning += texts(item.get("summary")) + texts(item.get("content"))
        elif is_tool_call(item):
            parsed_response.tool_calls.append(tool_call_of(item))
            check(len(parsed_response.tool_calls), MAX_TOOL_CALLS, "tool calls")
    parsed_response.content = join_text(content)
    parsed_response.reasoning = join_text(reasoning, "\n\n")


def _set_stop(parsed_response: ParsedResponse, response: dict[str, JSON]) -> None:
    status = text(response.get("status"))
    parsed_response.is_pending = status in responses.UNFINISHED
    if status in ("incomplete", "cancelled"):
        # Realtime has the details under another name.
        details = response.get("incomplete_details") or response.get("status_details")
        parsed_response.stop_reason = text(fields(details).get("reason")) or status
    else:
        parsed_response.stop_reason = status
    if status == "failed" and parsed_response.error is None:
        # Realtime has the error in its details.
        details = errors.message_in(response.get("status_details"))
        error = errors.message_in(response) or details
        parsed_response.error = error or failures.message_of_stop(status)
