"""Google's Interactions: https://ai.google.dev/api/interactions-api"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import usage as gemini_usage
from capture.wire.formats.gemini.grounding import Grounding
from capture.wire.framing import sse
from capture.wire.json.fields import count, fields, join_text, number, objects, text, texts
from capture.wire.json.lenient import clean, dump, load
from capture.wire.limits import MAX_BLOCKS, check
from capture.wire.shared import failures, requests, responses
from capture.wire.shared.usage import add_unit
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolCall,
    ParsedToolResult,
    PartKind,
    Usage,
)

NAME = "gemini_interactions"
PROVIDER = "google"

_parts: dict[str, PartKind] = {
    "system_instruction": "system",
    "input": "message",
    "tools": "tools",
}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    """The model stays None when the request names an `agent`, which chooses one itself."""
    parsed_request, raw = requests.read_common(body, _parts, ())
    if parsed_request.model_id:
        parsed_request.model_id = parsed_request.model_id.removeprefix("models/")
    if "system_instruction" in raw:
        prompt = gemini.texts_in(load(raw["system_instruction"])[0])
        parsed_request.system_prompt = requests.system_prompt(prompt)
    config = fields(parsed_request.params.get("generation_config"))
    if parsed_request.temperature is None:
        parsed_request.temperature = number(config.get("temperature"))
    parsed_request.max_tokens = count(config.get("max_output_tokens"))
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    step = fields(load(message)[0])
    if step.get("type") != "function_result":
        return []
    return [
        ParsedToolResult(
            tool_call_id=text(step.get("call_id")),
            name=text(step.get("name")),
            content=requests.collapse_text_blocks(step.get("result")),
            is_error=step.get("is_error") is True,
        )
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


class _InteractionStep:
    """A step of an interaction: its start, and what its deltas added."""

    def __init__(self, start: dict[str, JSON], *, ended: bool = False) -> None:
        self.start = start
        self.kind = start.get("type")
        self.ended = ended
        self.text = texts(start.get("content")) if self.kind == "model_output" else []
        self.thoughts = texts(start.get("summary")) if self.kind == "thought" else []
        self.arguments: list[str] = []
        self.tool_arguments = [start.get("arguments")]  # of a tool that Google runs
        self.n_images = sum(
            content.get("type") == "image" for content in objects(start.get("content"))
        )

    def add(self, delta: dict[str, JSON]) -> None:
        kind = delta.get("type")
        self.n_images += kind == "image"
        if kind == "text":
            self.text += texts(delta.get("text"))
        elif kind == "thought_summary":
            self.thoughts += texts(fields(delta.get("content")).get("text"))
        elif kind == "arguments_delta":
            self.kind = self.kind or "function_call"
            self.arguments += texts(delta.get("arguments"))
        elif "arguments" in delta:
            self.kind = self.kind or kind
            self.tool_arguments.append(delta["arguments"])

    def has_content(self) -> bool:
        return bool(self.text or self.thoughts or self.is_tool_call())

    def is_tool_call(self) -> bool:
        """Calls of tools that Google runs are other steps: no agent returns a result for them."""
        return self.kind == "function_call"

    def tool_call(self) -> ParsedToolCall:
        arguments = clean("".join(self.arguments))
        if not arguments:
            whole = self.start.get("arguments")
            # A stream begins every call with empty ones, which count only when the step ended.
            arguments = dump(whole) if whole else "{}" if self.ended else ""
        return ParsedToolCall(text(self.start.get("id")), text(self.start.get("name")), arguments)


def _parse_json(value: JSON) -> ParsedResponse:
    interaction = fields(value)
    parsed_response = ParsedResponse()
    _set_interaction(parsed_response, interaction)
    _set_end(parsed_response, interaction)
    steps = _steps_of(interaction)
    _set_steps(parsed_response, steps)
    parsed_response.usage = _usage(interaction.get("usage"), steps)
    return parsed_response


def _parse_stream(body: bytes) -> ParsedResponse:
    parsed_response = ParsedResponse()
    steps: dict[int, _InteractionStep] = {}
    final: list[_InteractionStep] = []
    counts: JSON = None
    unread: list[int] = []
    for sse_name, event, end in sse.read_objects(body, unread):
        name = text(event.get("event_type")) or sse_name
        index = event.get("index")
        step = steps.get(index) if isinstance(index, int) else None
        interaction = fields(event.get("interaction"))
        counts = _usage_in(event) or interaction.get("usage") or counts
        if name == "step.delta" and isinstance(index, int):
            if step is None:
                step = steps[index] = _InteractionStep({})
            step.add(fields(event.get("delta")))
        elif name == "step.start" and isinstance(index, int):
            step = steps[index] = _InteractionStep(fields(event.get("step")))
        elif name == "step.stop" and step:
            step.ended = True
        elif name == "interaction.completed":
            final = _steps_of(interaction)
            step = next(filter(_InteractionStep.has_content, final), None)
            _set_end(parsed_response, interaction)
            parsed_response.complete = True
        elif name == sse.DONE:
            parsed_response.complete = True
        elif found := failures.message_of_event(name, event):
            parsed_response.error = parsed_response.error or found
            parsed_response.complete = True
        _set_interaction(parsed_response, interaction)
        check(len(steps), MAX_BLOCKS, "steps")
        if parsed_response.first_content_end is None and step and step.has_content():
            parsed_response.first_content_end = end
    parsed_response.usage = _usage(counts, final or list(steps.values()))
    parsed_response.note = sse.note(unread, body)
    _set_steps(parsed_response, final or list(steps.values()))
    return parsed_response


def _steps_of(interaction: dict[str, JSON]) -> list[_InteractionStep]:
    starts = objects(interaction.get("steps"))
    check(len(starts), MAX_BLOCKS, "steps")
    return [_InteractionStep(start, ended=True) for start in starts]


def _usage_in(event: dict[str, JSON]) -> dict[str, JSON]:
    """Returns the usage of the interaction so far, which events of several kinds may have."""
    return fields(event.get("usage")) or fields(fields(event.get("metadata")).get("total_usage"))


def _usage(counts: JSON, steps: list[_InteractionStep]) -> Usage | None:
    """Returns the usage with what is billed beside the tokens, or at another price than theirs."""
    usage = gemini_usage.read_interaction_usage(counts)
    if usage is None:
        return None
    grounding = Grounding()
    grounding.add_counts(usage.raw.get("grounding_tool_count"))
    for step in steps:
        for arguments in step.tool_arguments:
            grounding.add_step(step.kind, arguments)
    grounding.set_units(usage, usage.raw.get("total_tool_use_tokens"))
    if usage.tokens_image_out is None:
        add_unit(usage, "images", sum(step.n_images for step in steps if step.kind != "user_input"))
    return usage


def _set_interaction(parsed_response: ParsedResponse, interaction: dict[str, JSON]) -> None:
    parsed_response.response_id = text(interaction.get("id")) or parsed_response.response_id
    parsed_response.response_model = (
        text(interaction.get("model")) or parsed_response.response_model
    )
    parsed_response.service_tier = (
        text(interaction.get("service_tier")) or parsed_response.service_tier
    )


def _set_end(parsed_response: ParsedResponse, interaction: dict[str, JSON]) -> None:
    parsed_response.stop_reason = text(interaction.get("status"))
    parsed_response.is_pending = parsed_response.stop_reason in responses.UNFINISHED
    if parsed_response.stop_reason == "failed":
        found = objects(interaction.get("errors"))
        found += [fields(step.get("error")) for step in objects(interaction.get("steps"))]
        messages = (errors.message_in({"error": error}) for error in found)
        parsed_response.error = next(filter(None, messages), None) or "an error without a message"


def _set_steps(parsed_response: ParsedResponse, steps: list[_InteractionStep]) -> None:
    parsed_response.content = join_text([piece for step in steps for piece in step.text])
    thoughts = ["".join(step.thoughts) for step in steps if step.thoughts]
    parsed_response.reasoning = join_text(thoughts, "\n\n")
    parsed_response.tool_calls = [step.tool_call() for step in steps if step.is_tool_call()]
