"""Answers as servers send them, each with the call that must be read out of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from capture.wire import by_name
from capture.wire.types import JSON, Answered

SSE = "text/event-stream; charset=utf-8"
PLAIN = "application/json"


@dataclass(frozen=True)
class Exchange:
    """`first_content` is a piece of the event that brings the first content."""

    name: str
    wire_format: str
    body: bytes
    expected: Answered
    first_content: bytes | None = None
    status: int = 200
    content_type: str = SSE

    def parsed(self, body: bytes | None = None) -> Answered:
        return by_name(self.wire_format).parse_answer(
            self.body if body is None else body,
            status=self.status,
            content_type=self.content_type,
        )

    def expected_with_first_content(self) -> Answered:
        if self.first_content is None:
            return self.expected
        brought = self.body.index(self.first_content)
        end = self.body.index(b"\n\n", brought) + 2
        return replace(self.expected, first_content_end=end)


def data(*events: JSON) -> bytes:
    """Events without names, those that are bytes as they are."""
    return b"".join(
        event if isinstance(event, bytes) else b"data: " + compact(event) + b"\n\n"
        for event in events
    )


def named(*events: JSON) -> bytes:
    """Events that have their type as their name too."""
    return b"".join(
        event
        if isinstance(event, bytes)
        else b"event: " + event["type"].encode() + b"\ndata: " + compact(event) + b"\n\n"
        for event in events
    )


def compact(event: JSON) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
