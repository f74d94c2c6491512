"""Cohere's chat, version 2: https://docs.cohere.com/v2/reference/chat"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.cohere import usage as cohere_usage
from capture.wire.framing import sse
from capture.wire.json.fields import fields, join_text, objects, text, texts
from capture.wire.json.lenient import clean, load
from capture.wire.limits import MAX_BLOCKS, MAX_TOOL_CALLS, check
from capture.wire.shared import failures, requests, responses
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolCall,
    ParsedToolResult,
    PartKind,
)

NAME = "cohere_chat"
PROVIDER = "cohere"

_parts: dict[str, PartKind] = {"messages": "message", "tools": "tools"}

_PLAN = -1
"""The index of the plan, of which there is one at most."""


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ("max_tokens",))
    parsed_request.system_prompt = requests.system_prompt(requests.prompts_in(parsed_request, body))
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    value = fields(load(message)[0])
    if value.get("role") != "tool":
        return []
    return [
        ParsedToolResult(
            tool_call_id=text(value.get("tool_call_id")),
            name=None,
            content=requests.collapse_text_blocks(value.get("content")),
            is_error=False,
        )
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.cohere_body(message, request_id=request_id)


class _CohereCall:
    """A call that comes in pieces. Its start may be missing."""

    def __init__(self, start: dict[str, JSON]) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []
        self.add(start)

    def add(self, piece: dict[str, JSON]) -> None:
        function = fields(piece.get("function"))
        self.id = self.id or text(piece.get("id"))
        self.name = self.name or text(function.get("name"))
        self.arguments += texts(function.get("arguments"))

    def finish(self) -> ParsedToolCall:
        return ParsedToolCall(self.id, self.name, clean("".join(self.arguments)))


class _Message:
    def __init__(self) -> None:
        self.content: list[str] = []
        self.calls: dict[int, _CohereCall] = {}
        # The thinking of each block, and the plan, which the model writes before it calls tools.
        self._thoughts: dict[int, list[str]] = {}

    def add(self, name: str, index: int, delta: dict[str, JSON]) -> bool:
        """Adds an event; returns True when it has text, thoughts or a piece of a tool call."""
        if name == "content-start" or name == "content-delta":
            block = fields(delta.get("content"))
            pieces = texts(block.get("text"))
            self.content += pieces
            return self._add_thought(index, block.get("thinking")) or bool(pieces)
        if name == "tool-plan-delta":
            return self._add_thought(_PLAN, delta.get("tool_plan"))
        if name == "tool-call-start":
            self.calls[index] = _CohereCall(fields(delta.get("tool_calls")))
            check(len(self.calls), MAX_TOOL_CALLS, "tool calls")
            return True
        if name == "tool-call-delta":
            self.calls.setdefault(index, _CohereCall({})).add(fields(delta.get("tool_calls")))
            check(len(self.calls), MAX_TOOL_CALLS, "tool calls")
            return True
        return False

    def add_whole(self, message: dict[str, JSON]) -> None:
        self._add_thought(_PLAN, message.get("tool_plan"))
        self.content = texts(message.get("content"))
        for index, block in enumerate(objects(message.get("content"))):
            self._add_thought(index, block.get("thinking"))
        calls = objects(message.get("tool_calls"))
        check(len(calls), MAX_TOOL_CALLS, "tool calls")
        self.calls = {i: _CohereCall(call) for i, call in enumerate(calls)}

    def _add_thought(self, index: int, thought: JSON) -> bool:
        pieces = texts(thought)
        if pieces:
            self._thoughts.setdefault(index, []).extend(pieces)
            check(len(self._thoughts), MAX_BLOCKS, "content blocks")
        return bool(pieces)

    def write_to(self, parsed_response: ParsedResponse) -> None:
        parsed_response.content = join_text(self.content)
        parsed_response.reasoning = join_text(
            ["".join(some) for some in self._thoughts.values()], "\n\n"
        )
        parsed_response.tool_calls = [call.finish() for call in self.calls.values()]


def _parse_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    parsed_response = ParsedResponse(
        response_id=text(response.get("id")),
        stop_reason=text(response.get("finish_reason")),
        usage=cohere_usage.read_usage(response.get("usage")),
    )
    message = _Message()
    message.add_whole(fields(response.get("message")))
    message.write_to(parsed_response)
    return parsed_response


def read_stream(body: bytes) -> ParsedResponse:
    parsed_response = ParsedResponse()
    message = _Message()
    unread: list[int] = []
    for name, event, end in sse.read_objects(body, unread):
        delta = fields(event.get("delta"))
        if name == "message-end":
            parsed_response.stop_reason = text(delta.get("finish_reason"))
            parsed_response.usage = cohere_usage.read_usage(delta.get("usage"))
            parsed_response.error = errors.message_in(delta) or parsed_response.error
            parsed_response.complete = True
        elif name == "message-start":
            parsed_response.response_id = text(event.get("id"))
        else:
            index = event.get("index")
            number = index if isinstance(index, int) else 0
            brought = message.add(name, number, fields(delta.get("message")))
            if brought and parsed_response.first_content_end is None:
                parsed_response.first_content_end = end
            if not brought and (found := failures.message_of_event(name, event)):
                parsed_response.error = parsed_response.error or found
                parsed_response.complete = True
    parsed_response.note = sse.note(unread, body)
    message.write_to(parsed_response)
    return parsed_response
