"""Responses as servers send them, each with what must be read out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from zlib import crc32

from capture.wire.registry import by_name
from capture.wire.types import JSON, ParsedResponse

SSE = "text/event-stream; charset=utf-8"
PLAIN = "application/json"
FRAMES = "application/vnd.amazon.eventstream"
LINES = "application/x-ndjson"


@dataclass(frozen=True)
class Exchange:
    """A response. `first_content` is a piece of the event that brings the first content."""

    name: str
    wire_format: str
    body: bytes
    expected: ParsedResponse
    first_content: bytes | None = None
    status: int = 200
    content_type: str = SSE

    def parse(self, body: bytes | None = None) -> ParsedResponse:
        return by_name(self.wire_format).parse_response(
            self.body if body is None else body,
            status=self.status,
            content_type=self.content_type,
        )

    def expected_with_first_content(self) -> ParsedResponse:
        if self.first_content is None:
            return self.expected
        brought = self.body.index(self.first_content)
        end = next(end for end in self._ends_of_events() if end > brought)
        return replace(self.expected, first_content_end=end)

    def is_stream(self) -> bool:
        return self.content_type in (SSE, FRAMES, LINES) or self.first_content is not None

    def _ends_of_events(self) -> Iterator[int]:
        if self.content_type == FRAMES:
            yield from ends_of_frames(self.body)
        elif self.content_type == SSE:
            yield from (blank.end() for blank in re.finditer(rb"\r\n\r\n|\n\n", self.body))
        elif self.body.startswith(b"["):
            yield from (after.start() for after in re.finditer(rb"\n(?:,\r\n|\]\n)", self.body))
        else:
            yield from (line_end.end() for line_end in re.finditer(rb"\n", self.body))


def data(*events: JSON) -> bytes:
    """Events without names; what is bytes is sent as it is."""
    return b"".join(
        event if isinstance(event, bytes) else b"data: " + compact(event) + b"\n\n"
        for event in events
    )


def named(*events: JSON) -> bytes:
    """Events that have their type as their name too; what is bytes is sent as it is."""
    return b"".join(
        event
        if isinstance(event, bytes)
        else b"event: " + event["type"].encode() + b"\ndata: " + compact(event) + b"\n\n"
        for event in events
    )


def compact(event: JSON) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def frame(payload: bytes, **headers: str) -> bytes:
    """A frame of AWS's event stream; `_` stands for the `-` of a header, its colon is added."""
    raw = b""
    for name, value in headers.items():
        key = f":{name.replace('_', '-')}".encode()
        raw += bytes([len(key)]) + key + b"\x07" + len(value).to_bytes(2) + value.encode()
    prelude = (len(raw) + len(payload) + 16).to_bytes(4) + len(raw).to_bytes(4)
    start = prelude + crc32(prelude).to_bytes(4) + raw + payload
    return start + crc32(start).to_bytes(4)


def event_frame(kind: str, event: JSON) -> bytes:
    return frame(
        compact(event), event_type=kind, content_type="application/json", message_type="event"
    )


def ends_of_frames(body: bytes) -> Iterator[int]:
    end = 0
    while end < len(body):
        end += int.from_bytes(body[end : end + 4])
        yield end
