"""Reads what the responses of all formats have in common."""

from __future__ import annotations

from collections.abc import Callable

from capture.wire import errors
from capture.wire.framing import ndjson, sse
from capture.wire.json.fields import objects
from capture.wire.json.lenient import load
from capture.wire.limits import check_json
from capture.wire.shared import failures, reported_cost
from capture.wire.types import JSON, ParsedResponse

OK = 200
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
    is_answer_due: bool = True,
) -> ParsedResponse:
    """Parses a response by `parse_json`, which takes a decoded JSON body, or by `parse_stream`:
    `is_stream` decides. `is_answer_due`: what is no answer is a failure, whatever the status."""
    if status == ACCEPTED and not body.strip():  # xAI: the answer is not there yet
        return ParsedResponse(complete=True, is_pending=True)
    value, note = None, None
    comes_in_events = is_stream(body, content_type)
    if not comes_in_events:
        check_json(body)
        value, note = load(body)
        comes_in_events = _is_list_of_events(value) or bool(note and ndjson.is_stream(body, ""))
    if comes_in_events:
        parsed_response = parse_stream(body)
        reported_cost.add_cost_of_stream(parsed_response, body)
    elif note:
        parsed_response = ParsedResponse(note=f"response: {note}")
    else:
        parsed_response = parse_json(value)
        parsed_response.complete = True
        reported_cost.add_reported_cost(parsed_response, value)
    parsed_response.error = errors.message_in(value) or parsed_response.error
    if is_answer_due:
        failures.find_flat_error(parsed_response, value)
    _find_other_error(parsed_response, body, status)
    if parsed_response.error is None and status == OK and is_answer_due:
        parsed_response.no_answer = (
            failures.in_place_of_stream(parsed_response, body)
            if comes_in_events
            else failures.in_place_of_json(parsed_response, body, content_type, value, note)
        )
    return parsed_response


def _find_other_error(parsed_response: ParsedResponse, body: bytes, status: int) -> None:
    if parsed_response.error is None:
        stopped = failures.message_of_stop(parsed_response.stop_reason)
        parsed_response.error = stopped or (errors.message_of_body(body) if status >= 400 else None)


def _is_list_of_events(value: JSON) -> bool:
    """Returns True for a stream that came as one array, of which each event would have been one."""
    return isinstance(value, list) and bool(objects(value)) and not errors.message_in(value)
