"""Anthropic's Messages: https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

import re
from collections.abc import Iterable

from capture.wire import errors
from capture.wire.framing import sse
from capture.wire.json.fields import fields, joined, objects, text, texts
from capture.wire.json.lenient import clean, dump, load
from capture.wire.shared import requests, responses, usage
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolCall, ToolResult

NAME = "anthropic_messages"
PROVIDER = "anthropic"

_parts: dict[str, PartKind] = {"system": "system", "messages": "message", "tools": "tools"}

# Tools that Anthropic runs are calls too: their results come in the same answer.
_TOOL_USES = ("tool_use", "server_tool_use", "mcp_tool_use")

# Google's Vertex takes the model out of the body.
_model_in_path = re.compile(r"/models/([^/:]+):(?:rawPredict|streamRawPredict)$")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, raw = requests.read_common(body, _parts, ("max_tokens",))
    top = texts(load(raw["system"])[0]) if "system" in raw else []
    asked.system_prompt = requests.system_prompt(top, requests.prompts_in(asked, body))
    if asked.model_id is None and (found := _model_in_path.search(path)):
        asked.model_id = text(found[1])
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(body, status, content_type, whole=read_whole, stream=_parse_stream)


def tool_results(message: bytes) -> list[ToolResult]:
    return [
        ToolResult(
            tool_call_id=text(block.get("tool_use_id")),
            name=None,
            content=requests.plain_or_blocks(block.get("content")),
            is_error=block.get("is_error") is True,
        )
        for block in objects(fields(load(message)[0]).get("content"))
        if block.get("type") == "tool_result"
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.anthropic_body(message, type=type, code=code, request_id=request_id)


class _Block:
    """A block of an answer's content: as it began, and what its deltas added."""

    def __init__(self, start: dict[str, JSON], *, ended: bool = False) -> None:
        self.start = start
        self.kind = start.get("type")
        self.ended = ended
        self.text = texts(start.get("text")) if self.kind == "text" else []
        self.thinking = texts(start.get("thinking")) if self.kind == "thinking" else []
        self.input: list[str] = []

    def add(self, delta: dict[str, JSON]) -> None:
        for name, pieces in (
            ("text", self.text),
            ("thinking", self.thinking),
            ("partial_json", self.input),
        ):
            piece = delta.get(name)
            if piece and isinstance(piece, str):
                pieces.append(piece)

    def has_content(self) -> bool:
        return bool(self.text or self.thinking or self.kind in _TOOL_USES)

    def tool_call(self) -> ToolCall:
        arguments = clean("".join(self.input))
        if not arguments:
            whole = self.start.get("input")
            # A stream begins every call with an empty input, which only stands when it ended so.
            arguments = dump(whole) if whole else "{}" if self.ended else ""
        return ToolCall(text(self.start.get("id")), text(self.start.get("name")), arguments)


def read_whole(value: JSON) -> Answered:
    message = fields(value)
    answered = Answered(usage=usage.anthropic(message.get("usage")))
    _tell_message(answered, message)
    _tell_tier(answered, fields(message.get("usage")))
    _tell_blocks(answered, [_Block(start, ended=True) for start in objects(message.get("content"))])
    return answered


def _parse_stream(body: bytes) -> Answered:
    unread: list[int] = []
    answered = read_events(sse.objects(body, unread))
    answered.note = sse.note(unread, body)
    return answered


def read_events(events: Iterable[tuple[str, dict[str, JSON], int]]) -> Answered:
    """The name, the object and the end in the body of each event of a stream."""
    answered = Answered()
    blocks: list[_Block] = []
    by_index: dict[int, _Block] = {}
    counts: dict[str, JSON] = {}
    counts_are_final = False
    for name, event, end in events:
        index = event.get("index")
        block = by_index.get(index) if isinstance(index, int) else None
        if name == "content_block_delta" and block:
            block.add(fields(event.get("delta")))
        elif name == "content_block_start" and isinstance(index, int):
            block = by_index[index] = _Block(fields(event.get("content_block")))
            blocks.append(block)
        elif name == "content_block_stop" and block:
            block.ended = True
        elif name == "message_start":
            message = fields(event.get("message"))
            _tell_message(answered, message)
            counts = dict(fields(message.get("usage")))
        elif name == "message_delta":
            reason = text(fields(event.get("delta")).get("stop_reason"))
            answered.stop_reason = reason or answered.stop_reason
            # Totals so far, not additions; what is null or left out has not changed.
            news = {key: n for key, n in fields(event.get("usage")).items() if n is not None}
            counts.update(news)
            counts_are_final = counts_are_final or "output_tokens" in news
        elif name == "message_stop":
            answered.complete = True
        elif name == "error" or event.get("error"):
            answered.error = errors.message_of_event(event)
            answered.complete = True
        if answered.first_content_end is None and block and block.has_content():
            answered.first_content_end = end
    answered.usage = usage.anthropic(counts)
    _tell_tier(answered, counts)
    if answered.usage and not counts_are_final:
        answered.usage.tokens_out = None  # message_start has a placeholder there
        answered.usage.billed = []
    _tell_blocks(answered, blocks)
    return answered


def _tell_message(answered: Answered, message: dict[str, JSON]) -> None:
    answered.response_model = text(message.get("model"))
    answered.response_id = text(message.get("id"))
    answered.stop_reason = text(message.get("stop_reason"))


def _tell_tier(answered: Answered, counts: dict[str, JSON]) -> None:
    answered.service_tier = text(counts.get("service_tier"))
    answered.speed = text(counts.get("speed"))


def _tell_blocks(answered: Answered, blocks: list[_Block]) -> None:
    answered.content = joined([piece for block in blocks for piece in block.text])
    thoughts = ["".join(block.thinking) for block in blocks if block.thinking]
    answered.reasoning = joined(thoughts, "\n\n")
    answered.tool_calls = [block.tool_call() for block in blocks if block.kind in _TOOL_USES]
