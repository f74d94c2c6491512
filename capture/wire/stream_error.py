"""Writes the error that ends a stream in the middle, as the event of its wire format at which the
SDK raises, as it does for an error of the provider."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from capture.wire.json.lenient import clean
from capture.wire.registry import by_name

_DATA = b"data: %b\n\n"
_NAMED = b"event: error\ndata: %b\n\n"
_LINE = b"%b\n"
_FRAMES = {
    ("openai_chat", "text/event-stream"): _DATA,
    ("openai_completions", "text/event-stream"): _DATA,
    ("openai_responses", "text/event-stream"): _NAMED,
    ("anthropic_messages", "text/event-stream"): _NAMED,
    ("gemini", "text/event-stream"): b"data: %b\r\n\r\n",
    ("ollama", "application/x-ndjson"): _LINE,
}


def error_event(
    wire_format: str, content_type: str, message: str, *, type: str, code: str, request_id: str
) -> bytes | None:
    """Returns the bytes to send before the connection is closed; None when the format has no such
    event."""
    frame = _FRAMES.get((wire_format, content_type.partition(";")[0].strip().lower()))
    if frame is None:
        return None
    if wire_format == "openai_responses":
        body = _responses_event(message, type, code)
    else:
        write: Callable[..., bytes] = by_name(wire_format).error_body
        body = write(message, type=type, code=code, request_id=request_id)
    return frame % body


def _responses_event(message: str, type: str, code: str) -> bytes:
    """OpenAI's own event is flat, and its SDK passes that on like any other; it raises when there
    is an `error` within. So the event has both."""
    facts = {"message": clean(message), "code": clean(code), "param": None}
    event = {"type": "error", **facts, "sequence_number": 0}
    return orjson.dumps({**event, "error": {"type": clean(type), **facts}})
