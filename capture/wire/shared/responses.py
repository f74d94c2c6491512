"""What the answers of all formats have in common."""

from __future__ import annotations

from collections.abc import Callable

from capture.wire import errors
from capture.wire.framing import sse
from capture.wire.json.lenient import load
from capture.wire.types import JSON, Answered


def read(
    body: bytes,
    status: int,
    content_type: str,
    *,
    whole: Callable[[JSON], Answered],
    stream: Callable[[bytes], Answered],
    is_stream: Callable[[bytes, str], bool] = sse.is_stream,
) -> Answered:
    """What `whole` makes of a decoded JSON answer, or `stream` of events.

    `is_stream` tells which of them it is from the body and its content type.
    """
    if is_stream(body, content_type):
        answered = stream(body)
    else:
        value, note = load(body)
        answered = whole(value) if note is None else Answered(note=f"answer: {note}")
        answered.complete = note is None
        answered.error = errors.message_in(value) or answered.error
    if status >= 400 and answered.error is None:
        answered.error = errors.message_of_body(body)
    return answered
