"""Asks OpenAI's streams for their usage on the agent's behalf, and hides the chunk that brings it.

Without `stream_options.include_usage` a stream never says what it cost. This changes bytes, in both
directions, so that it is done only where the operator asks for it (AGENTLEDGER_INJECT_USAGE), and
each call says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from capture.wire.formats.openai import chat as openai_chat
from capture.wire.shared.slices import cut
from capture.wire.types import WireFormat

RawHeaders = Sequence[tuple[bytes, bytes]]

ASKING = b'"stream_options":{"include_usage":true},'

_event_end = re.compile(rb"\r\n\r\n|\n\n|\r\r")
# Cheap to look for: all other chunks have a choice.
_no_choices = re.compile(rb'"choices"\s*:\s*\[\s*\]')


def asking(body: bytes, wire_format: WireFormat) -> bytes | None:
    """The body that asks for usage; None where there is nothing to ask for: it is no stream, or the
    agent has said itself what it wants."""
    if wire_format.NAME != openai_chat.NAME:
        return None
    found = cut(body, {})
    if found is None or found.fields.get("stream") != b"true" or "stream_options" in found.fields:
        return None
    start = body.index(b"{") + 1
    return body[:start] + ASKING + body[start:]


def request_headers(headers: RawHeaders, body: bytes) -> list[tuple[bytes, bytes]]:
    """Of the changed request. A compressed answer would hide what is to be hidden."""
    changed = [(n, v) for n, v in headers if n not in (b"content-length", b"accept-encoding")]
    return [*changed, (b"content-length", b"%d" % len(body)), (b"accept-encoding", b"identity")]


def without_length(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name != b"content-length"]


def is_stream(headers: RawHeaders) -> bool:
    """Whether there are events to look through: an error is answered as JSON."""
    return any(
        name == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in headers
    )


class Hider:
    """Takes the usage chunk out of a stream; all other events pass as they are, as soon as they are
    whole."""

    def __init__(self) -> None:
        self._begun = b""  # an event whose end has not come

    def feed(self, piece: bytes) -> bytes:
        data = self._begun + piece
        shown = []
        start = 0
        for end in _event_end.finditer(data):
            event = data[start : end.end()]
            start = end.end()
            if not _is_usage_alone(event):
                shown.append(event)
        self._begun = data[start:]
        return b"".join(shown)

    def whole(self, piece: bytes) -> bytes:
        """What the last piece brings: its end ends an event too."""
        shown = self.feed(piece)
        return shown if _is_usage_alone(self._begun) else shown + self._begun


def _is_usage_alone(event: bytes) -> bool:
    if not _no_choices.search(event):
        return False
    data = event.strip()
    if not data.startswith(b"data:"):
        return False
    try:
        chunk = orjson.loads(data[len(b"data:") :])
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and bool(chunk.get("usage"))
