"""Ollama's own API: https://docs.ollama.com/api"""

from __future__ import annotations

from collections.abc import Iterator

from capture.wire import errors
from capture.wire.framing import ndjson, sse
from capture.wire.json.fields import count, fields, number, objects, text, texts
from capture.wire.json.lenient import clean_json, load
from capture.wire.limits import MAX_TOOL_CALLS, check
from capture.wire.shared import failures, requests, responses, thoughts
from capture.wire.shared.choices import Choice, set_choices, stop_reason_in
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
    Usage,
)

NAME = "ollama"
PROVIDER = "ollama"

_parts: dict[str, PartKind] = {
    "system": "system",
    "messages": "message",
    "prompt": "message",
    "input": "message",
    "tools": "tools",
}

# The tokens of the previous response, and images as base64: not text, and long.
_LEFT_OUT = ("context", "images")

_EMBEDDING_PATHS = ("/embed", "/embeddings")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, raw = requests.read_common(body, _parts, ())
    parsed_request.stream = (
        bool(raw) and not path.lower().endswith(_EMBEDDING_PATHS) and _streams(raw)
    )
    for name in ("stream", *_LEFT_OUT):
        parsed_request.params.pop(name, None)
    top = texts(load(raw["system"])[0]) if "system" in raw else []
    parsed_request.system_prompt = requests.system_prompt(
        top, requests.prompts_in(parsed_request, body)
    )
    options = fields(parsed_request.params.get("options"))
    if parsed_request.temperature is None:
        parsed_request.temperature = number(options.get("temperature"))
    parsed_request.max_tokens = count(options.get("num_predict"))  # -1 is none
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body,
        status,
        content_type,
        parse_json=_parse_json,
        parse_stream=_parse_stream,
        is_stream=_is_stream,
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    value = fields(load(message)[0])
    if value.get("role") != "tool":
        return []
    return [
        ParsedToolResult(
            tool_call_id=text(value.get("tool_call_id")),
            name=text(value.get("tool_name")) or text(value.get("name")),
            content=requests.collapse_text_blocks(value.get("content")),
            is_error=False,
        )
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.ollama_body(message)


def _is_stream(body: bytes, content_type: str) -> bool:
    """One object that is not the last is a stream too, cut off after it."""
    is_lines = ndjson.is_stream(body, content_type) or b'"done":false' in body
    return is_lines or sse.is_stream(body, content_type)


def _pieces(body: bytes, unread: list[int]) -> Iterator[tuple[dict[str, JSON], int]]:
    """Yields the objects of the lines, or of the events that gateways make of them."""
    if sse.is_stream(body, ""):
        yield from ((piece, end) for _, piece, end in sse.read_objects(body, unread))
    else:
        yield from ndjson.read_objects(body, unread)


def _streams(raw: dict[str, bytes]) -> bool:
    """Ollama streams unless `stream` is false."""
    return load(raw.get("stream", b"true"))[0] is not False


class _OllamaResponse:
    """A response that comes in one object or in many."""

    def __init__(self) -> None:
        self.parsed_response = ParsedResponse()
        self._choice = Choice()
        self._n_calls = 0

    def add(self, piece: dict[str, JSON]) -> bool:
        """Adds an object; returns True when it has text, thoughts or a tool call, which `chat` has
        in a message."""
        parsed_response = self.parsed_response
        if (model := piece.get("model")) != parsed_response.response_model:
            parsed_response.response_model = text(model) or parsed_response.response_model
        if piece.get("done") is True:
            parsed_response.complete = True
        if "done_reason" in piece:
            reason = stop_reason_in(piece["done_reason"])
            self._choice.stop_reason = reason or self._choice.stop_reason
        if "eval_count" in piece or "prompt_eval_count" in piece:
            parsed_response.usage = _read_usage(piece) or parsed_response.usage
        message = fields(piece.get("message"))
        has_content = self._choice.add_content(message.get("content") or piece.get("response"))
        if calls := objects(message.get("tool_calls")):
            has_content |= self._choice.add({"tool_calls": self._numbered(calls)})
        if not (thoughts.NAMES.isdisjoint(message) and thoughts.NAMES.isdisjoint(piece)):
            names = thoughts.NAMES.intersection((*message, *piece))
            found = {name: message.get(name) or piece.get(name) for name in names}
            has_content |= self._choice.add(found)
        return has_content

    def _numbered(self, calls: list[dict[str, JSON]]) -> list[dict[str, JSON]]:
        """Returns calls, each of which is complete, with indexes of the whole response; those that
        newer servers give them begin anew with each line."""
        check(len(calls), MAX_TOOL_CALLS, "tool calls")
        first = self._n_calls
        self._n_calls += len(calls)
        return [{**call, "index": number} for number, call in enumerate(calls, first)]

    def finish(self) -> ParsedResponse:
        set_choices(self.parsed_response, {0: self._choice})
        return self.parsed_response


def _parse_json(value: JSON) -> ParsedResponse:
    response = _OllamaResponse()
    response.add(fields(value))
    return response.finish()


def _parse_stream(body: bytes) -> ParsedResponse:
    response = _OllamaResponse()
    parsed_response = response.parsed_response
    unread: list[int] = []
    for piece, end in _pieces(body, unread):
        brought = response.add(piece)
        if brought and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
        if (not brought or piece.get("error")) and (found := failures.message_of_event("", piece)):
            parsed_response.error = parsed_response.error or found
            parsed_response.complete = True
    parsed_response.note = sse.note(unread, body)
    return response.finish()


_COUNTS = ("prompt_eval_count", "eval_count")
_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def _read_usage(response: dict[str, JSON]) -> Usage | None:
    """Returns None for a model that was only loaded. A cached prompt may have no count."""
    tokens_in, tokens_out = (count(response.get(name)) for name in _COUNTS)
    if tokens_in is None and tokens_out is None:
        return None
    raw = {name: response[name] for name in (*_COUNTS, *_TIMES) if name in response}
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out, raw=clean_json(raw))
