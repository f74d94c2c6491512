"""Anthropic's Messages: https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

import re
from collections.abc import Iterable

from capture.wire import errors
from capture.wire.formats.anthropic import usage as anthropic_usage
from capture.wire.framing import sse
from capture.wire.json.fields import fields, join_text, objects, text, texts
from capture.wire.json.lenient import clean, dump, load
from capture.wire.limits import MAX_BLOCKS, check
from capture.wire.shared import failures, requests, responses
from capture.wire.shared.choices import stop_reason_in
from capture.wire.shared.usage import merge_counts
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolCall,
    ParsedToolResult,
    PartKind,
)

NAME = "anthropic_messages"
PROVIDER = "anthropic"

_parts: dict[str, PartKind] = {"system": "system", "messages": "message", "tools": "tools"}

_OUTPUT = ("output_tokens", "completion_tokens")  # gateways may leave OpenAI's name

# Calls of tools that Anthropic runs are calls too: their results come in the same response.
_KINDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "tool_use",
}
"""The kinds of blocks, by the type of their deltas."""

_TOOL_USES = ("tool_use", "server_tool_use", "mcp_tool_use")

# Google's Vertex has the model in the path, not in the body.
_model_in_path = re.compile(r"/models/([^/:]+):(?:rawPredict|streamRawPredict)$", re.IGNORECASE)


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, raw = requests.read_common(body, _parts, ("max_tokens",))
    top = texts(load(raw["system"])[0]) if "system" in raw else []
    parsed_request.system_prompt = requests.system_prompt(
        top, requests.prompts_in(parsed_request, body)
    )
    if parsed_request.model_id is None and (found := _model_in_path.search(path)):
        parsed_request.model_id = text(found[1])
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=read_json, parse_stream=_parse_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return [
        ParsedToolResult(
            tool_call_id=text(block.get("tool_use_id")),
            name=None,
            content=requests.collapse_text_blocks(block.get("content")),
            is_error=block.get("is_error") is True,
        )
        for block in objects(fields(load(message)[0]).get("content"))
        if block.get("type") == "tool_result"
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.anthropic_body(message, type=type, code=code, request_id=request_id)


class _ContentBlock:
    """A block of a response's content: its start, and what its deltas added."""

    def __init__(self, start: dict[str, JSON], *, ended: bool = False) -> None:
        self.start = start
        self.kind = start.get("type")
        self.ended = ended
        self.text = texts(start.get("text")) if self.kind == "text" else []
        self.thinking = texts(start.get("thinking")) if self.kind == "thinking" else []
        self.input: list[str] = []
        self._pieces = {"text": self.text, "thinking": self.thinking, "partial_json": self.input}

    def add(self, delta: dict[str, JSON]) -> None:
        for name, piece in delta.items():
            if name in self._pieces and piece and isinstance(piece, str):
                self._pieces[name].append(piece)

    def takes(self, delta: dict[str, JSON]) -> bool:
        """Returns False for arguments when this is no call: they are another block's, whose start
        is missing."""
        return not delta.get("partial_json") or self.kind in _TOOL_USES

    def has_content(self) -> bool:
        return bool(self.text or self.thinking or self.kind in _TOOL_USES)

    def tool_call(self) -> ParsedToolCall:
        arguments = clean("".join(self.input))
        if not arguments:
            whole = self.start.get("input")
            # A stream begins every call with an empty input, which counts if the block ended.
            # A text is what the model wrote where that is no JSON.
            written = whole if isinstance(whole, str) else dump(whole)
            arguments = clean(written) if whole else "{}" if self.ended else ""
        return ParsedToolCall(text(self.start.get("id")), text(self.start.get("name")), arguments)


class _Counts:
    """The usage of a stream, as its events bring it."""

    def __init__(self) -> None:
        self.so_far: dict[str, JSON] = {}
        self.are_final = False

    def begin(self, usage: dict[str, JSON]) -> None:
        self.so_far = dict(usage)

    def add(self, changes: dict[str, JSON]) -> None:
        if not self.are_final and any(changes.get(name) is not None for name in _OUTPUT):
            self.so_far.pop("output_tokens", None)  # message_start has a placeholder there
            self.are_final = True
        merge_counts(self.so_far, changes)


def read_json(value: JSON) -> ParsedResponse:
    message = fields(value)
    parsed_response = ParsedResponse(usage=anthropic_usage.read_usage(message.get("usage")))
    _set_message(parsed_response, message)
    _set_tier(parsed_response, fields(message.get("usage")))
    starts = objects(message.get("content"))
    check(len(starts), MAX_BLOCKS, "content blocks")
    blocks = [_ContentBlock(start, ended=True) for start in starts]
    _set_blocks(parsed_response, blocks, message.get("container"))
    return parsed_response


def _parse_stream(body: bytes) -> ParsedResponse:
    unread: list[int] = []
    parsed_response = read_events(sse.read_objects(body, unread))
    parsed_response.note = sse.note(unread, body)
    return parsed_response


def read_events(events: Iterable[tuple[str, dict[str, JSON], int]]) -> ParsedResponse:
    """Parses a stream by each event's name, object and end in the body."""
    parsed_response = ParsedResponse()
    blocks: list[_ContentBlock] = []
    by_index: dict[int | None, _ContentBlock] = {}
    whole: list[_ContentBlock] = []  # of a message that did not come in pieces
    counts = _Counts()
    container: JSON = None
    for name, event, end in events:
        number = event.get("index")
        index = number if isinstance(number, int) else None
        block = by_index.get(index)
        if name == "content_block_delta":
            delta = fields(event.get("delta"))
            if block is None or not block.takes(delta):  # some gateways send no start
                kind = _KINDS.get(str(delta.get("type")))
                block = by_index[index] = _begin_block(blocks, {"type": kind})
            block.add(delta)
        elif name == "content_block_start":
            block = by_index[index] = _begin_block(blocks, fields(event.get("content_block")))
        elif name == "content_block_stop" and block:
            block.ended = True
        elif name == "message_start" or name == "message":
            message = event if name == "message" else fields(event.get("message"))
            _set_message(parsed_response, message)
            counts.begin(fields(message.get("usage")))
            container = message.get("container")
            whole = [_ContentBlock(one, ended=True) for one in objects(message.get("content"))]
            if name == "message":  # all of it in one event
                parsed_response.complete = counts.are_final = True
            block = next(filter(_ContentBlock.has_content, whole), None)
        elif name == "message_delta":
            changed = fields(event.get("delta"))
            reason = stop_reason_in(changed.get("stop_reason"))
            container = changed.get("container") or container
            parsed_response.stop_reason = reason or parsed_response.stop_reason
            counts.add(fields(event.get("usage")))
        elif name == "message_stop":
            counts.add(fields(event.get("usage")))  # of some copies of the API
            parsed_response.complete = True
        elif found := failures.message_of_event(name, event):
            parsed_response.error = parsed_response.error or found
            parsed_response.complete = True
        if parsed_response.first_content_end is None and block and block.has_content():
            parsed_response.first_content_end = end
    parsed_response.usage = anthropic_usage.read_usage(counts.so_far)
    _set_tier(parsed_response, counts.so_far)
    if parsed_response.usage and not counts.are_final:
        parsed_response.usage.tokens_out = None
        parsed_response.usage.billed = []
    _set_blocks(parsed_response, blocks or whole, container)
    return parsed_response


def _begin_block(blocks: list[_ContentBlock], start: dict[str, JSON]) -> _ContentBlock:
    block = _ContentBlock(start)
    blocks.append(block)
    check(len(blocks), MAX_BLOCKS, "content blocks")
    return block


def _set_message(parsed_response: ParsedResponse, message: dict[str, JSON]) -> None:
    parsed_response.response_model = text(message.get("model"))
    parsed_response.response_id = text(message.get("id"))
    parsed_response.stop_reason = text(message.get("stop_reason"))


def _set_tier(parsed_response: ParsedResponse, counts: dict[str, JSON]) -> None:
    parsed_response.service_tier = text(counts.get("service_tier"))
    parsed_response.speed = text(counts.get("speed"))


def _set_blocks(
    parsed_response: ParsedResponse, blocks: list[_ContentBlock], container: JSON
) -> None:
    if parsed_response.usage is not None:
        starts = (block.start for block in blocks)
        anthropic_usage.add_tools(parsed_response.usage, starts, has_container=bool(container))
    parsed_response.content = join_text([piece for block in blocks for piece in block.text])
    thoughts = ["".join(block.thinking) for block in blocks if block.thinking]
    parsed_response.reasoning = join_text(thoughts, "\n\n")
    parsed_response.tool_calls = [block.tool_call() for block in blocks if block.kind in _TOOL_USES]
