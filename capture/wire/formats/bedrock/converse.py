"""Bedrock's Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
and its stream; the shapes are those of botocore's model of the service."""

from __future__ import annotations

import re
from collections.abc import Iterable

from capture.wire import errors
from capture.wire.formats.bedrock import usage as bedrock_usage
from capture.wire.framing import aws_event_stream
from capture.wire.json.fields import count, fields, join_text, number, objects, text, texts
from capture.wire.json.lenient import clean, clean_json, dump, load
from capture.wire.limits import MAX_BLOCKS, check
from capture.wire.shared import failures, requests, responses
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolCall,
    ParsedToolResult,
    PartKind,
)

NAME = "bedrock_converse"
PROVIDER = "aws"

EVENTS = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)

_model_in_path = re.compile(r".*/model/(.*)/([^/]*)", re.DOTALL | re.IGNORECASE)
_parts: dict[str, PartKind] = {"system": "system", "messages": "message", "toolConfig": "tools"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, raw = requests.read_common(body, _parts, ())
    set_model_from_path(parsed_request, path)
    set_limits(parsed_request, "inferenceConfig", "maxTokens")
    blocks = objects(load(raw["system"])[0]) if "system" in raw else []
    top = [piece for block in blocks for piece in _texts_in(block)]
    parsed_request.system_prompt = requests.system_prompt(
        top, requests.prompts_in(parsed_request, body)
    )
    return parsed_request


def set_model_from_path(parsed_request: ParsedRequest, path: str) -> None:
    """Reads the model and the `stream` of a request, which the body does not have.

    The model may be an ARN with slashes and colons in it; the prefix of a profile (`us.`) is
    part of its name.
    """
    found = _model_in_path.fullmatch(f"/{path}")
    if found:
        model, operation = found.groups()
        parsed_request.model_id = text(model) or parsed_request.model_id
        parsed_request.stream = operation.lower().endswith("-stream")


def set_limits(parsed_request: ParsedRequest, name: str, *max_tokens: str) -> None:
    """Reads temperature and limit from the settings in the field `name`. `max_tokens` are the names
    of the limit, in the order of precedence."""
    settings = fields(parsed_request.params.get(name))
    limits = (count(settings.get(limit)) for limit in max_tokens)
    found = next((limit for limit in limits if limit is not None), None)
    parsed_request.max_tokens = parsed_request.max_tokens if found is None else found
    temperature = number(settings.get("temperature"))
    parsed_request.temperature = parsed_request.temperature if temperature is None else temperature


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body,
        status,
        content_type,
        parse_json=read_json,
        parse_stream=_parse_stream,
        is_stream=aws_event_stream.is_stream,
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    blocks = objects(fields(load(message)[0]).get("content"))
    results = [result for block in blocks if (result := fields(block.get("toolResult")))]
    return [
        ParsedToolResult(
            tool_call_id=text(result.get("toolUseId")),
            name=None,
            content=_collapse_text_blocks(result.get("content")),
            is_error=result.get("status") == "error",
        )
        for result in results
    ]


def _collapse_text_blocks(content: JSON) -> JSON:
    """Content of text blocks alone becomes one text, a single JSON document becomes its value, all
    other content stays as it is."""
    blocks = objects(content)
    if blocks and len(blocks) == len(content):
        if all(block.keys() == {"text"} for block in blocks):
            return join_text(texts(content), "\n") or ""
        if len(blocks) == 1 and blocks[0].keys() == {"json"}:
            return clean_json(blocks[0]["json"])
    return clean_json(content)


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.aws_body(message, code=code)


class _ConverseBlock:
    """A block of a response's content. Blocks of text have no event that starts them."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.call: dict[str, JSON] | None = None
        self.input: list[str] = []
        self.ended = False

    def add(self, block: dict[str, JSON]) -> bool:
        """Adds a complete block, its start or a delta; returns True when that has text, reasoning
        or a call."""
        piece = block.get("text")
        if isinstance(piece, str):  # nearly all of them
            self.text.append(piece)
            return bool(piece)
        pieces = _texts_in(block)
        self.text += pieces
        reasoning = fields(block.get("reasoningContent"))
        thoughts = texts(reasoning.get("text")) or texts(
            fields(reasoning.get("reasoningText")).get("text")
        )
        self.reasoning += thoughts
        call = fields(block.get("toolUse"))
        if "name" in call or "toolUseId" in call or (call and self.call is None):
            self.call = call
        arguments = call.get("input")
        if isinstance(arguments, str):
            self.input.append(arguments)
        return bool(pieces or thoughts or call)

    def tool_call(self, call: dict[str, JSON]) -> ParsedToolCall:
        arguments = clean("".join(self.input))
        if not arguments:
            whole = call.get("input")
            whole = None if isinstance(whole, str) else whole  # a piece, which is empty
            # A stream has no input for a tool without parameters, so `{}` counts when it ended.
            arguments = dump(whole) if whole else "{}" if self.ended else ""
        return ParsedToolCall(text(call.get("toolUseId")), text(call.get("name")), arguments)


def _texts_in(block: dict[str, JSON]) -> list[str]:
    """Returns the texts of a block, also of one with citations or marked for a guardrail."""
    guarded = fields(fields(block.get("guardContent")).get("text"))
    cited = fields(block.get("citationsContent"))
    return texts(block.get("text")) + texts(guarded.get("text")) + texts(cited.get("content"))


def read_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    parsed_response = ParsedResponse(stop_reason=text(response.get("stopReason")))
    _set_metadata(parsed_response, response)
    blocks = []
    for content in objects(fields(fields(response.get("output")).get("message")).get("content")):
        block = _ConverseBlock()
        block.add(content)
        block.ended = True
        blocks.append(block)
        check(len(blocks), MAX_BLOCKS, "content blocks")
    _set_blocks(parsed_response, blocks)
    return parsed_response


def _parse_stream(body: bytes) -> ParsedResponse:
    notes: list[str] = []
    parsed_response = read_events(aws_event_stream.read_objects(body, notes))
    parsed_response.note = "; ".join(notes) or None
    return parsed_response


def read_events(events: Iterable[tuple[str, dict[str, JSON], int]]) -> ParsedResponse:
    """Parses a stream by each event's name, object and end in the body."""
    parsed_response = ParsedResponse()
    blocks: dict[int, _ConverseBlock] = {}
    for name, event, end in events:
        index = event.get("contentBlockIndex")
        number = index if isinstance(index, int) else 0
        if name == "contentBlockDelta" or name == "contentBlockStart":
            block = blocks.get(number)
            if block is None:
                block = blocks[number] = _ConverseBlock()
                check(len(blocks), MAX_BLOCKS, "content blocks")
            brought = block.add(fields(event.get("delta")) or fields(event.get("start")))
            if brought and parsed_response.first_content_end is None:
                parsed_response.first_content_end = end
        elif name == "contentBlockStop" and number in blocks:
            blocks[number].ended = True
        elif name == "messageStop":
            parsed_response.stop_reason = text(event.get("stopReason"))
            parsed_response.complete = True
        elif name == "metadata":
            _set_metadata(parsed_response, event)
            parsed_response.complete = True
        elif found := failures.message_of_event(name, event):
            parsed_response.error = parsed_response.error or found
            parsed_response.complete = True
    _set_blocks(parsed_response, list(blocks.values()))
    return parsed_response


def _set_metadata(parsed_response: ParsedResponse, metadata: dict[str, JSON]) -> None:
    parsed_response.usage = bedrock_usage.read_usage(metadata.get("usage"))
    parsed_response.service_tier = text(fields(metadata.get("serviceTier")).get("type"))
    router = fields(fields(metadata.get("trace")).get("promptRouter"))
    parsed_response.response_model = text(router.get("invokedModelId"))


def _set_blocks(parsed_response: ParsedResponse, blocks: list[_ConverseBlock]) -> None:
    parsed_response.content = join_text([piece for block in blocks for piece in block.text])
    thoughts = ["".join(block.reasoning) for block in blocks if block.reasoning]
    parsed_response.reasoning = join_text(thoughts, "\n\n")
    parsed_response.tool_calls = [block.tool_call(block.call) for block in blocks if block.call]
