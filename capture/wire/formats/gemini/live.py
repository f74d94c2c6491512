"""One turn of Gemini's Live API, out of a WebSocket: asked in the shape of a request for
generateContent (capture.wire.sockets.gemini_live), answered by the provider's messages.

https://ai.google.dev/api/live
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini.generate_content import error_body, parse_request, tool_results
from capture.wire.framing import sse
from capture.wire.json.fields import fields, joined, objects, text
from capture.wire.json.lenient import clean, dump
from capture.wire.shared import responses, usage
from capture.wire.types import JSON, Answered, ToolCall

__all__ = [
    "NAME",
    "PROVIDER",
    "error_body",
    "parse_answer",
    "parse_request",
    "tool_results",
]

NAME = "gemini_live"
PROVIDER = "google"


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(body, status, content_type, whole=_parse_whole, stream=_parse_stream)


def _parse_whole(value: JSON) -> Answered:
    """The answer to a handshake that failed: it holds an error or nothing of a turn."""
    return Answered()


def _parse_stream(body: bytes) -> Answered:
    answered = Answered()
    written: list[str] = []
    spoken: list[str] = []
    thoughts: list[str] = []
    counts: dict[str, JSON] = {}
    unread: list[int] = []
    for _, message, end in sse.objects(body, unread):
        content = fields(message.get("serverContent"))
        has_content = bool(content.get("outputTranscription"))
        spoken += filter(None, [text(fields(content.get("outputTranscription")).get("text"))])
        for part in objects(fields(content.get("modelTurn")).get("parts")):
            has_content = True
            if said := text(part.get("text")):
                (thoughts if part.get("thought") is True else written).append(said)
        for call in objects(fields(message.get("toolCall")).get("functionCalls")):
            has_content = True
            arguments = clean(dump(call.get("args") or {}))
            answered.tool_calls.append(
                ToolCall(text(call.get("id")), text(call.get("name")), arguments)
            )
        counts.update(fields(message.get("usageMetadata")))
        if message.get("error"):
            answered.error = errors.message_of_event(message)
        if content.get("interrupted") is True:
            answered.stop_reason = "interrupted"
        if content.get("turnComplete") is True:
            answered.complete = True
            answered.stop_reason = answered.stop_reason or "turn_complete"
        if has_content and answered.first_content_end is None:
            answered.first_content_end = end
    if answered.tool_calls:
        answered.complete = True  # the agent's results begin the next turn
        answered.stop_reason = answered.stop_reason or "tool_calls"
    answered.complete = answered.complete or answered.error is not None
    answered.content = joined(written or spoken)
    answered.reasoning = joined(thoughts)
    answered.usage = usage.gemini(counts)
    answered.note = sse.note(unread, body)
    return answered
