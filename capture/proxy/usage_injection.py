"""Asks OpenAI's streams for their usage on the agent's behalf, and hides the chunk that brings it.

Without `stream_options.include_usage` a stream never says what it cost. This changes bytes, in both
directions, so it is done only where the operator wants it (AGENTLEDGER_INJECT_USAGE), and each such
call is marked.
"""

from __future__ import annotations

import re

import orjson

from capture.proxy.asgi_types import Chunks
from capture.upstream.headers import RawHeaders
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.json.field_reader import read_fields
from capture.wire.types import Unreadable, WireFormat

USAGE_OPTION = b'"stream_options":{"include_usage":true},'

# Bytes. A longer event is not the one that only brings usage.
LONGEST_EVENT = 64 * 1024

_event_end = re.compile(rb"\r\n\r\n|\n\n|\r\r")
# Cheap to search for: all other chunks have a choice.
_no_choices = re.compile(rb'"choices"\s*:\s*\[\s*\]')


def request_usage(body: bytes, wire_format: WireFormat) -> bytes | None:
    """Returns the body with the option that asks for usage; None where it asks for no stream, or
    has stream options of its own."""
    if wire_format.NAME != openai_chat.NAME:
        return None
    try:
        found = dict(read_fields(body, _wanted))
    except Unreadable:
        return None
    if found.get("stream") != b"true" or "stream_options" in found:
        return None
    start = body.index(b"{") + 1
    return body[:start] + USAGE_OPTION + body[start:]


def _wanted(key: str) -> str | None:
    return key if key in ("stream", "stream_options") else None


def request_headers(headers: RawHeaders, body: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the headers for the changed body. In a compressed response nothing could be
    hidden."""
    changed = [(n, v) for n, v in headers if n not in (b"content-length", b"accept-encoding")]
    return [*changed, (b"content-length", b"%d" % len(body)), (b"accept-encoding", b"identity")]


def without_length(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name != b"content-length"]


def is_stream(headers: RawHeaders) -> bool:
    """Returns whether a response consists of events, among which usage can be found: errors do
    not."""
    return any(
        name == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in headers
    )


async def hide_usage(chunks: Chunks) -> Chunks:
    """Yields a stream without the chunk that the agent did not ask for."""
    hider = UsageHider()
    try:
        async for chunk, last in chunks:
            shown = hider.feed_last(chunk) if last else hider.feed(chunk)
            if shown or last:
                yield shown, last
    finally:
        await chunks.aclose()


class UsageHider:
    """Takes the usage chunk out of a stream. All other events pass unchanged, each as soon as it is
    complete."""

    def __init__(self) -> None:
        self._unfinished = b""  # an event whose end has not arrived

    def feed(self, data: bytes) -> bytes:
        data = self._unfinished + data
        shown = []
        start = 0
        for end in _event_end.finditer(data):
            event = data[start : end.end()]
            start = end.end()
            if not _is_only_usage(event):
                shown.append(event)
        self._unfinished = data[start:]
        if len(self._unfinished) > LONGEST_EVENT:
            shown.append(self._unfinished)
            self._unfinished = b""
        return b"".join(shown)

    def feed_last(self, data: bytes) -> bytes:
        """Takes the end of the stream, which ends its last event too."""
        shown = self.feed(data)
        return shown if _is_only_usage(self._unfinished) else shown + self._unfinished


def _is_only_usage(event: bytes) -> bool:
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
