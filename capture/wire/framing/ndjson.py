"""Reads a whole body of JSON objects, one a line, as Ollama streams them."""

from __future__ import annotations

from collections.abc import Iterator

from capture.wire.json import lenient
from capture.wire.limits import MAX_EVENTS, TooMuch
from capture.wire.types import JSON

CONTENT_TYPE = "application/x-ndjson"


def read_objects(body: bytes, unread: list[int]) -> Iterator[tuple[dict[str, JSON], int]]:
    """Yields the objects, and the offset in the body at which the line of each ended.

    A last line without a line end counts too. The ends of the lines that are not objects are added
    to `unread`.
    """
    start = n_lines = 0
    while start < len(body):
        end = body.find(b"\n", start) + 1 or len(body)
        line = body[start:end].strip()
        start = end
        if not line:
            continue
        n_lines += 1
        if n_lines > MAX_EVENTS:
            raise TooMuch("lines", MAX_EVENTS)
        value, _ = lenient.load(line)
        if isinstance(value, dict):
            yield value, end
        else:
            unread.append(end)


def is_stream(body: bytes, content_type: str) -> bool:
    """Returns True for a response of lines: its content type says so, or an object on the first
    line is followed by another."""
    if content_type.lower().startswith(CONTENT_TYPE):
        return True
    end = body.find(b"\n")
    if end < 0 or not lenient.strip_bom(body[:64]).startswith(b"{"):
        return False
    ends_whole = body[max(end - 2, 0) : end].rstrip().endswith(b"}")
    return ends_whole and body[end : end + 64].lstrip().startswith(b"{")
