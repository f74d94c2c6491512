"""Reads what the responses of all formats have in common."""

from __future__ import annotations

from collections.abc import Callable

from capture.wire import errors
from capture.wire.framing import ndjson, sse
from capture.wire.json.fields import objects
from capture.wire.json.lenient import load
from capture.wire.limits import check_json
from capture.wire.shared import reported_cost
from capture.wire.types import JSON, ParsedResponse

ACCEPTED = 202
UNFINISHED = ("queued", "in_progress")
"""The states of a response in the background, which has its output when it is fetched."""


def read_response(
    body: bytes,
    status: int,
    content_type: str,
    *,
    parse_json: Callable[[JSON], ParsedResponse],
    parse_stream: Callable[[bytes], ParsedResponse],
    is_stream: Callable[[bytes, str], bool] = sse.is_stream,
) -> ParsedResponse:
    """Parses a response by `parse_json`, which takes a decoded JSON body, or by `parse_stream`.

    `is_stream` decides between them by the body and its content type.
    """
    if status == ACCEPTED and not body.strip():  # xAI: the answer is not there yet
        return ParsedResponse(complete=True, is_pending=True)
    if is_stream(body, content_type):
        parsed_response = parse_stream(body)
        reported_cost.add_cost_of_stream(parsed_response, body)
    else:
        check_json(body)
        value, note = load(body)
        if _is_list_of_events(value) or (note and ndjson.is_stream(body, "")):
            parsed_response = parse_stream(body)
            reported_cost.add_cost_of_stream(parsed_response, body)
        elif note:
            parsed_response = ParsedResponse(note=f"response: {note}")
        else:
            parsed_response = parse_json(value)
            parsed_response.complete = True
            reported_cost.add_reported_cost(parsed_response, value)
        parsed_response.error = errors.message_in(value) or parsed_response.error
    if status >= 400 and parsed_response.error is None:
        parsed_response.error = errors.message_of_body(body)
    return parsed_response


def _is_list_of_events(value: JSON) -> bool:
    """Returns True for a stream that came as one array, of which each event would have been one."""
    return isinstance(value, list) and bool(objects(value)) and not errors.message_in(value)
