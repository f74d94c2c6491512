"""Bedrock's invoke, which hands a model its own kind of body, and its answer back:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html

An answer does not say whose it is; its shape does. Of what we do not know, the text is looked for
where most models have it, and no tokens are counted.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import chain

from capture.wire import errors
from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.bedrock import converse as bedrock_converse
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.framing import aws_event_stream
from capture.wire.json.fields import fields, joined, objects, text, texts
from capture.wire.json.lenient import load
from capture.wire.shared import requests, responses, usage
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolResult, WireFormat

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

# Where Llama, Titan, Claude 2 and Cohere have their text, and the lists of Titan, Mistral, Cohere
# and DeepSeek whose first entry has it.
_TEXTS = ("generation", "outputText", "completion", "text")
_LISTS = ("results", "outputs", "generations", "choices")
_REASONS = ("stop_reason", "completionReason", "finish_reason")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, raw = requests.read_common(body, _parts, _max_tokens)
    bedrock_converse.tell_path(asked, path)
    bedrock_converse.tell_limits(asked, "inferenceConfig", "maxTokens", "max_new_tokens")
    bedrock_converse.tell_limits(asked, "textGenerationConfig", "maxTokenCount")
    top = texts(load(raw["system"])[0]) if "system" in raw else []
    asked.system_prompt = requests.system_prompt(top, requests.prompts_in(asked, body))
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(
        body,
        status,
        content_type,
        whole=_parse_whole,
        stream=_parse_stream,
        is_stream=aws_event_stream.is_stream,
    )


def tool_results(message: bytes) -> list[ToolResult]:
    for family in _FAMILIES:
        if results := family.tool_results(message):
            return results
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return bedrock_converse.error_body(message, type=type, code=code, request_id=request_id)


def _parse_whole(value: JSON) -> Answered:
    answer = fields(value)
    if answer.get("type") == "message":
        return anthropic_messages.read_whole(answer)
    if fields(answer.get("output")):
        return bedrock_converse.read_whole(answer)
    answered = Answered()
    if any("message" in choice for choice in objects(answer.get("choices"))):
        answered = openai_chat.read_whole(answer)
    answered.content = answered.content or joined(_texts_in(answer))
    answered.stop_reason = answered.stop_reason or _stop_reason_in(answer)
    answered.usage = answered.usage or usage.llama(answer) or usage.titan(answer)
    return answered


def _parse_stream(body: bytes) -> Answered:
    notes: list[str] = []
    metrics: dict[str, JSON] = {}
    answered = _read_events(_native(body, metrics, notes))
    # The model's own count tells more, where there is one.
    if answered.usage is None or answered.usage.tokens_out is None:
        answered.usage = usage.bedrock(metrics) or answered.usage
    answered.complete = answered.complete or bool(metrics)
    answered.note = "; ".join(notes) or None
    return answered


def _native(body: bytes, metrics: dict[str, JSON], notes: list[str]) -> Events:
    """The model's own events without names, and errors. Bedrock's count goes into `metrics`."""
    unread: list[int] = []
    for name, chunk, end in aws_event_stream.objects(body, notes):
        if name == aws_event_stream.ERROR:
            yield name, chunk, end
            continue
        value = _unpacked(chunk.get("bytes"))
        if isinstance(value, dict):
            metrics.update(fields(value.get(METRICS)))
            yield "", value, end
        else:
            unread.append(end)
    if unread:
        notes.append(
            f"{len(unread)} chunks are no JSON objects, the first ends at byte {unread[0]}"
        )


def _unpacked(chunk: JSON) -> JSON:
    try:
        return load(base64.b64decode(chunk, validate=True))[0]
    except (TypeError, ValueError):  # it is no text, or not base64
        return None


def _read_events(events: Events) -> Answered:
    """By the first event, whose events they all are."""
    first = next(events, None)
    if first is None:
        return Answered()
    events = chain([first], events)
    event = first[1]
    if event.get("type") in ("message_start", "ping", "error"):
        return anthropic_messages.read_events(_typed(events))
    if any(name in event for name in bedrock_converse.EVENTS):
        return bedrock_converse.read_events(_named(events))
    if any("delta" in choice for choice in objects(event.get("choices"))):
        return openai_chat.read_events(events)
    return _read_pieces(events)


def _typed(events: Events) -> Events:
    for name, event, end in events:
        yield name or text(event.get("type")) or "", event, end


def _named(events: Events) -> Events:
    """Nova's events have one field, which names them."""
    for name, event, end in events:
        if name:
            yield name, event, end
        for key in bedrock_converse.EVENTS:
            if key in event:
                yield key, fields(event[key]), end


def _read_pieces(events: Events) -> Answered:
    answered = Answered()
    pieces: list[str] = []
    for name, event, end in events:
        if name == aws_event_stream.ERROR:
            answered.error = errors.message_of_event(event)
            answered.complete = True
            continue
        brought = _texts_in(event)
        pieces += brought
        if brought and answered.first_content_end is None:
            answered.first_content_end = end
        answered.stop_reason = _stop_reason_in(event) or answered.stop_reason
    answered.content = joined(pieces)
    return answered


def _texts_in(answer: dict[str, JSON]) -> list[str]:
    return next(
        (
            found
            for entry in _places(answer)
            for name in _TEXTS
            if (found := texts(entry.get(name)))
        ),
        [],
    )


def _stop_reason_in(answer: dict[str, JSON]) -> str | None:
    reasons = (text(entry.get(name)) for entry in _places(answer) for name in _REASONS)
    return next(filter(None, reasons), None)


def _places(answer: dict[str, JSON]) -> list[dict[str, JSON]]:
    """Where a text or a reason may be: the answer, and the first entries of its lists."""
    return [answer, *(entry for name in _LISTS for entry in objects(answer.get(name))[:1])]
