"""One turn of Gemini's Live API over a WebSocket. Its request has the shape of one to
generateContent (capture.wire.sockets.gemini_live), its response is the provider's messages.

https://ai.google.dev/api/live
"""

from __future__ import annotations

from capture.wire.formats.gemini import usage as gemini_usage
from capture.wire.formats.gemini.generate_content import error_body, parse_request, tool_results
from capture.wire.formats.gemini.grounding import Grounding
from capture.wire.framing import sse
from capture.wire.json.fields import fields, join_text, objects, text
from capture.wire.json.lenient import clean, dump
from capture.wire.limits import MAX_TOOL_CALLS, check
from capture.wire.shared import failures, responses
from capture.wire.shared.usage import merge_counts
from capture.wire.types import JSON, ParsedResponse, ParsedToolCall, Usage

__all__ = [
    "NAME",
    "PROVIDER",
    "error_body",
    "parse_response",
    "parse_request",
    "tool_results",
]

NAME = "gemini_live"
PROVIDER = "google"


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
    )


def _parse_json(value: JSON) -> ParsedResponse:
    """The response to a handshake that failed has an error at most."""
    return ParsedResponse()


def _parse_stream(body: bytes) -> ParsedResponse:
    parsed_response = ParsedResponse()
    written: list[str] = []
    spoken: list[str] = []
    thoughts: list[str] = []
    counts: dict[str, JSON] = {}
    grounding = Grounding()
    unread: list[int] = []
    for name, message, end in sse.read_objects(body, unread):
        content = fields(message.get("serverContent"))
        _add_grounding(grounding, content)
        has_content = bool(content.get("outputTranscription"))
        spoken += filter(None, [text(fields(content.get("outputTranscription")).get("text"))])
        for part in objects(fields(content.get("modelTurn")).get("parts")):
            has_content = True
            if piece := text(part.get("text")):
                (thoughts if part.get("thought") is True else written).append(piece)
        calls = objects(fields(message.get("toolCall")).get("functionCalls"))
        has_content |= bool(calls)
        parsed_response.tool_calls += map(_tool_call, calls)
        check(len(parsed_response.tool_calls), MAX_TOOL_CALLS, "tool calls")
        merge_counts(counts, gemini_usage.metadata_in(message))
        if not has_content and (found := failures.message_of_event(name, message)):
            parsed_response.error = parsed_response.error or found
        _set_end(parsed_response, content)
        if has_content and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
    if parsed_response.tool_calls:
        parsed_response.complete = True  # the agent's results begin the next turn
        parsed_response.stop_reason = parsed_response.stop_reason or "toolCall"
    parsed_response.complete = parsed_response.complete or parsed_response.error is not None
    parsed_response.content = join_text(written or spoken)
    parsed_response.reasoning = join_text(thoughts)
    parsed_response.usage = _usage(counts, grounding)
    parsed_response.note = sse.note(unread, body)
    return parsed_response


def _set_end(parsed_response: ParsedResponse, content: dict[str, JSON]) -> None:
    if content.get("interrupted") is True:
        parsed_response.stop_reason = "interrupted"
    if content.get("turnComplete") is True:
        parsed_response.complete = True
        reason = text(content.get("turnCompleteReason")) or parsed_response.stop_reason
        parsed_response.stop_reason = reason or "turnComplete"


def _add_grounding(grounding: Grounding, content: dict[str, JSON]) -> None:
    grounding.add(content)
    parts = objects(fields(content.get("modelTurn")).get("parts"))
    if any("codeExecutionResult" in part for part in parts):
        grounding.add_code()


def _usage(counts: dict[str, JSON], grounding: Grounding) -> Usage | None:
    usage = gemini_usage.read_usage(counts)
    if usage is not None:
        grounding.set_units(usage, counts.get("toolUsePromptTokenCount"))
    return usage


def _tool_call(call: dict[str, JSON]) -> ParsedToolCall:
    arguments = clean(dump(call.get("args") or {}))
    return ParsedToolCall(text(call.get("id")), text(call.get("name")), arguments)
