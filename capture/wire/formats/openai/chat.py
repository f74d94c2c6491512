"""OpenAI's chat completions, as OpenAI, Azure and many others speak them.

https://platform.openai.com/docs/api-reference/chat. Where the copies
differ, comments say which.
"""

from __future__ import annotations

from collections.abc import Iterable

from capture.wire import errors
from capture.wire.formats.openai import fees
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.framing import sse
from capture.wire.json.fields import fields, objects, text
from capture.wire.json.lenient import load
from capture.wire.limits import MAX_CHOICES, check
from capture.wire.shared import failures, requests, responses
from capture.wire.shared.call_fragments import index_of
from capture.wire.shared.choices import Choice, set_choices, stop_reason_in
from capture.wire.shared.usage import merge_counts
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
    Usage,
)

NAME = "openai_chat"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"messages": "message", "tools": "tools", "functions": "tools"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ("max_completion_tokens", "max_tokens"))
    parsed_request.system_prompt = requests.system_prompt(requests.prompts_in(parsed_request, body))
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=read_json, parse_stream=read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    # The roles, or a letter of one as an escape.
    if b"tool" not in message and b"function" not in message and b"\\u00" not in message:
        return []
    value = fields(load(message)[0])
    if value.get("role") not in ("tool", "function"):
        return []
    return [
        ParsedToolResult(
            tool_call_id=text(value.get("tool_call_id")),
            name=text(value.get("name")),
            content=requests.collapse_text_blocks(value.get("content")),
            is_error=False,
        )
    ]


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def read_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    parsed_response = ParsedResponse(
        response_model=text(response.get("model")),
        response_id=text(response.get("id")),
        usage=_usage_of(_usage_in(response), response.get("timings")),
        service_tier=tier_in(response.get("service_tier")),
    )
    if "choices" not in response and (request_id := text(response.get("request_id"))):
        # https://docs.x.ai/docs/guides/deferred-chat-completions
        parsed_response.response_id, parsed_response.is_pending = request_id, True
    choices: dict[int, Choice] = {}
    for number, entry in enumerate(objects(response.get("choices"))):
        choices[number] = choice = Choice()
        check(number, MAX_CHOICES, "choices")
        choice.add_whole(fields(entry.get("message")) or fields(entry.get("delta")))
        choice.stop_reason = stop_reason_in(entry.get("finish_reason"))
        parsed_response.error = parsed_response.error or failures.message_of_choice(entry)
    _add_thoughts(parsed_response)
    set_choices(parsed_response, choices)
    _add_fees(parsed_response, choices, response.get("web_search"))
    return parsed_response


def _usage_of(counts: JSON, timings: JSON) -> Usage | None:
    return openai_usage.read_usage(counts) or openai_usage.read_llama_cpp_timings(timings)


def _add_thoughts(parsed_response: ParsedResponse) -> None:
    if "gemini" in (parsed_response.response_model or "").lower():
        openai_usage.add_thoughts_of_total(parsed_response.usage)


def read_stream(body: bytes) -> ParsedResponse:
    unread: list[int] = []
    parsed_response = read_events(sse.read_objects(body, unread))
    parsed_response.note = sse.note(unread, body)
    return parsed_response


def read_events(events: Iterable[tuple[str, dict[str, JSON], int]]) -> ParsedResponse:
    """Parses a stream by each event's name, object and end in the body."""
    parsed_response = ParsedResponse()
    choices: dict[int, Choice] = {}
    counts: dict[str, JSON] = {}
    timings = tier = searched = None
    done = False
    for name, chunk, end in events:
        if name == sse.DONE:
            done = True
            continue
        parsed_response.response_model = parsed_response.response_model or text(chunk.get("model"))
        parsed_response.response_id = parsed_response.response_id or text(chunk.get("id"))
        if found := _usage_in(chunk):
            merge_counts(counts, found)
        timings = chunk.get("timings") or timings
        tier = chunk.get("service_tier") or tier
        searched = chunk.get("web_search") or searched
        entries = objects(chunk.get("choices"))
        if not entries or chunk.get("error") or chunk.get("base_resp") or name == "error":
            error = failures.message_of_event(name, chunk)
            parsed_response.error = parsed_response.error or error
        for entry in entries:
            choice = _choice_of(choices, entry)
            if choice.add_entry(entry) and parsed_response.first_content_end is None:
                parsed_response.first_content_end = end
            finish = entry.get("finish_reason")
            if finish is not None or entry.get("error"):
                choice.stop_reason = stop_reason_in(finish) or choice.stop_reason
                error = failures.message_of_choice(entry)
                parsed_response.error = parsed_response.error or error
    # Some servers send no [DONE].
    all_stopped = bool(choices) and all(choice.stop_reason for choice in choices.values())
    parsed_response.complete = done or all_stopped or parsed_response.error is not None
    parsed_response.usage = _usage_of(counts, timings)
    _add_thoughts(parsed_response)
    parsed_response.service_tier = tier_in(tier)
    set_choices(parsed_response, choices)
    _add_fees(parsed_response, choices, searched)
    return parsed_response


def _choice_of(choices: dict[int, Choice], entry: dict[str, JSON]) -> Choice:
    number = index_of(entry) or 0
    choice = choices.get(number)
    if choice is None:
        choice = choices[number] = Choice()
        check(len(choices), MAX_CHOICES, "choices")
    return choice


def _add_fees(parsed_response: ParsedResponse, choices: dict[int, Choice], searched: JSON) -> None:
    """Adds what is billed beside the usage. `searched` are Z.ai's results of a search."""
    model = parsed_response.response_model
    executed = [tool for choice in choices.values() for tool in choice.executed]
    called = [call.name for call in parsed_response.tool_calls]
    counts = fees.of_chat(model, searched, called, executed)
    if counts and (parsed_response.stop_reason or parsed_response.content):
        usage = parsed_response.usage = parsed_response.usage or Usage()
        usage.units = fees.merged(usage.units, counts)


def tier_in(tier: JSON) -> str | None:
    """Returns the tier that was billed; `auto` is a tier that is requested only."""
    return text(tier) if tier != "auto" else None


_OLLAMA_COUNTS = ("prompt_eval_count", "eval_count")


def _usage_in(chunk: dict[str, JSON]) -> dict[str, JSON] | None:
    """Returns the usage of a response or a chunk, where OpenAI, Groq, Moonshot or Ollama have
    it."""
    if (own := chunk.get("usage")) and isinstance(own, dict):
        return own
    if "x_groq" in chunk and (groq := fields(fields(chunk["x_groq"]).get("usage"))):
        return groq if "prompt_tokens" in groq else None  # otherwise it counts bytes of memory
    choices = chunk.get("choices")
    if choices and isinstance(choices, list) and isinstance(choices[0], dict):
        of_choice = choices[0].get("usage")
        if of_choice and isinstance(of_choice, dict):
            return of_choice
    if "eval_count" in chunk:
        return {name: chunk[name] for name in _OLLAMA_COUNTS if name in chunk}
    return None
