"""The error that ends a stream of ours in the middle: the event of its wire format at which the SDK
raises, as at an error of the provider's."""

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
    """None where the format has none that we can write: the connection is all there is to end."""
    frame = _FRAMES.get((wire_format, content_type.partition(";")[0].strip().lower()))
    if frame is None:
        return None
    if wire_format == "openai_responses":
        body = _of_responses(message, type, code)
    else:
        write: Callable[..., bytes] = by_name(wire_format).error_body
        body = write(message, type=type, code=code, request_id=request_id)
    return frame % body


def _of_responses(message: str, type: str, code: str) -> bytes:
    """OpenAI's own event is flat, and its SDK hands that on like any other; it raises at an
    `error` within. Both are told."""
    facts = {"message": clean(message), "code": clean(code), "param": None}
    event = {"type": "error", **facts, "sequence_number": 0}
    return orjson.dumps({**event, "error": {"type": clean(type), **facts}})
