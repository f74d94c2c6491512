"""Bedrock's invoke, which passes a model's own bodies on in both directions:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html

Only the shape of a response shows which provider's it is. Of an unknown shape, the text is taken
from where most models have it, and no tokens are counted.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import chain

from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.bedrock import converse as bedrock_converse
from capture.wire.formats.bedrock import usage as bedrock_usage
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.framing import aws_event_stream
from capture.wire.json.fields import fields, join_text, objects, text, texts
from capture.wire.json.lenient import load
from capture.wire.shared import failures, requests, responses
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
    WireFormat,
)

NAME = "bedrock_invoke"
PROVIDER = "aws"

Events = Iterator[tuple[str, dict[str, JSON], int]]

_parts: dict[str, PartKind] = {
    "system": "system",
    "messages": "message",
    "prompt": "message",  # Llama, Mistral, Claude 2
    "inputText": "message",  # Titan
    "tools": "tools",
    "toolConfig": "tools",  # Nova
}
_max_tokens = ("max_tokens", "max_completion_tokens", "max_gen_len", "max_tokens_to_sample")

_FAMILIES: tuple[WireFormat, ...] = (anthropic_messages, bedrock_converse, openai_chat)

METRICS = "amazon-bedrock-invocationMetrics"

# The fields in which Llama, Titan, Claude 2 and Cohere have their text, and the lists of Titan,
# Mistral, Cohere and DeepSeek whose first entry has it.
_TEXTS = ("generation", "outputText", "completion", "text")
_LISTS = ("results", "outputs", "generations", "choices")
_REASONS = ("stop_reason", "completionReason", "finish_reason")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, raw = requests.read_common(body, _parts, _max_tokens)
    bedrock_converse.set_model_from_path(parsed_request, path)
    bedrock_converse.set_limits(parsed_request, "inferenceConfig", "maxTokens", "max_new_tokens")
    bedrock_converse.set_limits(parsed_request, "textGenerationConfig", "maxTokenCount")
    top = texts(load(raw["system"])[0]) if "system" in raw else []
    parsed_request.system_prompt = requests.system_prompt(
        top, requests.prompts_in(parsed_request, body)
    )
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body,
        status,
        content_type,
        parse_json=_parse_json,
        parse_stream=_parse_stream,
        is_stream=aws_event_stream.is_stream,
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    for family in _FAMILIES:
        if results := family.tool_results(message):
            return results
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return bedrock_converse.error_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    if response.get("type") == "message":
        return anthropic_messages.read_json(response)
    if fields(response.get("output")):
        return bedrock_converse.read_json(response)
    parsed_response = ParsedResponse()
    if any("message" in choice for choice in objects(response.get("choices"))):
        parsed_response = openai_chat.read_json(response)
    parsed_response.content = parsed_response.content or join_text(_texts_in(response))
    parsed_response.stop_reason = parsed_response.stop_reason or _stop_reason_in(response)
    parsed_response.usage = (
        parsed_response.usage
        or bedrock_usage.read_llama_usage(response)
        or bedrock_usage.read_titan_usage(response)
    )
    return parsed_response


def _parse_stream(body: bytes) -> ParsedResponse:
    notes: list[str] = []
    metrics: dict[str, JSON] = {}
    parsed_response = _read_events(_model_events(body, metrics, notes))
    # The model's own usage has more details, where there is one.
    if parsed_response.usage is None or parsed_response.usage.tokens_out is None:
        parsed_response.usage = bedrock_usage.read_usage(metrics) or parsed_response.usage
    parsed_response.complete = parsed_response.complete or bool(metrics)
    parsed_response.note = "; ".join(notes) or None
    return parsed_response


def _model_events(body: bytes, metrics: dict[str, JSON], notes: list[str]) -> Events:
    """Yields the model's own events without names, and errors. Bedrock's count goes into
    `metrics`."""
    unread: list[int] = []
    for name, chunk, end in aws_event_stream.read_objects(body, notes):
        if name == aws_event_stream.ERROR:
            yield name, chunk, end
            continue
        value = _unpack(chunk.get("bytes"))
        if isinstance(value, dict):
            metrics.update(fields(value.get(METRICS)))
            yield "", value, end
        else:
            unread.append(end)
    if unread:
        notes.append(
            f"{len(unread)} chunks are not JSON objects, the first ends at byte {unread[0]}"
        )


def _unpack(chunk: JSON) -> JSON:
    try:
        return load(base64.b64decode(chunk, validate=True))[0]
    except (TypeError, ValueError):  # it is not a text, or not base64
        return None


def _read_events(events: Events) -> ParsedResponse:
    """Parses the events as those of the provider that the first event shows."""
    first = next(events, None)
    if first is None:
        return ParsedResponse()
    events = chain([first], events)
    event = first[1]
    if event.get("type") in ("message_start", "ping", "error"):
        return anthropic_messages.read_events(_name_by_type(events))
    if any(name in event for name in bedrock_converse.EVENTS):
        return bedrock_converse.read_events(_name_by_field(events))
    if any("delta" in choice for choice in objects(event.get("choices"))):
        return openai_chat.read_events(events)
    return _read_unknown(events)


def _name_by_type(events: Events) -> Events:
    for name, event, end in events:
        yield name or text(event.get("type")) or "", event, end


def _name_by_field(events: Events) -> Events:
    """Yields Nova's events, whose one field is their name."""
    for name, event, end in events:
        if name:
            yield name, event, end
        for key in bedrock_converse.EVENTS:
            if key in event:
                yield key, fields(event[key]), end


def _read_unknown(events: Events) -> ParsedResponse:
    parsed_response = ParsedResponse()
    pieces: list[str] = []
    for name, event, end in events:
        brought = _texts_in(event)
        if not brought and (found := failures.message_of_event(name, event)):
            parsed_response.error = parsed_response.error or found
            parsed_response.complete = True
        pieces += brought
        if brought and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
        parsed_response.stop_reason = _stop_reason_in(event) or parsed_response.stop_reason
    parsed_response.content = join_text(pieces)
    return parsed_response


def _texts_in(response: dict[str, JSON]) -> list[str]:
    return next(
        (
            found
            for entry in _entries(response)
            for name in _TEXTS
            if (found := texts(entry.get(name)))
        ),
        [],
    )


def _stop_reason_in(response: dict[str, JSON]) -> str | None:
    reasons = (text(entry.get(name)) for entry in _entries(response) for name in _REASONS)
    return next(filter(None, reasons), None)


def _entries(response: dict[str, JSON]) -> list[dict[str, JSON]]:
    """Returns the objects that may have a text or a reason: the response, and the first entries of
    its lists."""
    return [response, *(entry for name in _LISTS for entry in objects(response.get(name))[:1])]
