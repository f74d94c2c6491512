"""What is cheaply known of a body that is above a limit: its model, its parameters, its usage.

The wire formats read a small body in place of it: the short fields of a JSON object, or the first
and the last lines of a stream.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import msgspec

from capture.wire.formats.openai import fees
from capture.wire.framing import ndjson, sse
from capture.wire.json.lenient import strip_bom
from capture.wire.limits import TooMuch
from capture.wire.types import ParsedRequest, ParsedResponse, WireFormat

MAX_FIELD = 16 * 2**10
# Of a stream, so many bytes at its beginning, and as many at its end.
END = 64 * 2**10

_REQUEST = """model stream temperature max_tokens max_completion_tokens max_output_tokens
    generationConfig generation_config inferenceConfig textGenerationConfig options""".split()
_RESPONSE = """id model object type status service_tier usage error stop_reason finish_reason
    modelVersion responseId usageMetadata timings tool_usage x_groq stopReason metrics done
    done_reason prompt_eval_count eval_count meta duration prompt_token_count
    generation_token_count inputTextTokenCount""".split()

# msgspec skips all other fields without making values of them: 0.3 ms a megabyte.
_NOTHING = msgspec.Raw()
_Small = msgspec.defstruct(
    "_Small", [(name, msgspec.Raw, _NOTHING) for name in {*_REQUEST, *_RESPONSE}]
)
_small_of = msgspec.json.Decoder(_Small).decode


def parse_small_request(wire_format: WireFormat, body: bytes, *, path: str) -> ParsedRequest:
    """Returns a request without parts and without a system prompt."""
    try:
        parsed = wire_format.parse_request(
            _small_object(body) or b"{}", path=path, content_type="application/json"
        )
    except TooMuch:
        parsed = ParsedRequest()
    return replace(parsed, parts=[], system_prompt=None, units={}, note=None, is_raw=True)


def parse_small_response(
    wire_format: WireFormat, body: bytes, *, status: int, content_type: str
) -> ParsedResponse:
    """Returns a response without its content."""
    if sse.is_stream(body, content_type):
        small: bytes | None = _ends_of_stream(body, b"\n\n")
    elif ndjson.is_stream(body, content_type):
        small = _ends_of_stream(body, b"\n")
    else:
        small = _small_object(body)
    parsed = ParsedResponse()
    if small is not None:
        with suppress(TooMuch):
            parsed = wire_format.parse_response(small, status=status, content_type=content_type)
    parsed.is_raw = True
    if parsed.usage is not None and fees.may_be_in(body) and not parsed.usage.units:
        parsed.usage.units["uncounted_tool_calls"] = 1  # so that no cost leaves them out
    parsed.content = parsed.reasoning = parsed.first_content_end = parsed.note = None
    parsed.no_answer = None  # it may be in what was left out
    parsed.tool_calls, parsed.choices = [], []
    return parsed


def _small_object(body: bytes) -> bytes | None:
    """Returns a JSON object of some short fields of another; None for any other body."""
    if not strip_bom(body[:64]).startswith(b"{"):
        return None
    try:
        found = _small_of(body)
    except (ValueError, RecursionError):  # ValueError: msgspec's own, and not UTF-8
        return None
    fields = {name: bytes(getattr(found, name)) for name in _Small.__struct_fields__}
    return msgspec.json.encode(
        {name: msgspec.Raw(raw) for name, raw in fields.items() if 0 < len(raw) <= MAX_FIELD}
    )


def _ends_of_stream(body: bytes, separator: bytes) -> bytes:
    """Returns the first and the last whole events of a stream, as far as they are short."""
    if len(body) <= 2 * END:
        return body
    head, tail = body[:END], body[-END:]
    first = head[: head.rfind(separator) + 1]
    return first + separator + tail.partition(separator)[2]
