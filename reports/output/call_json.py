"""Sessions and calls as JSON, with the field names of the ledger."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from capture.models import Binary, Session
from capture.wire.binaries.references import StoredText
from capture.wire.framing.actual_encoding import actual_content
from capture.wire.json.lenient import load
from capture.wire.limits import DEFAULT
from reports.json_encoding import Spliced
from reports.queries.records import Record, Row, Selection, is_shown_raw, readable_json

JSON = Any

SESSION_FIELDS = (
    "session_id started_at last_call_at call_count error_count refused_count total_tokens_in"
    " total_tokens_out total_cost_usd total_latency_ms models agents users apps environments labels"
    " note pinned"
).split()

# The fields of a call's JSON that are columns of the ledger.
CALL_FIELDS = (
    "action_id timestamp model_id provider stop_reason tokens_in tokens_out cost_usd latency_ms"
    " status_code error_detail agent_name user_id app_id environment parent_action_id handoff_from"
    " handoff_to seq ttft_ms streaming method path wire_format response_model tokens_cache_read"
    " tokens_cache_write tokens_cache_write_1h tokens_reasoning tokens_audio_in tokens_audio_out"
    " tokens_image_in tokens_image_out usage_source price_source cache_savings_usd service_tier"
    " attempt retry_of response_id fetch_of outcome budget_warning request_bytes response_bytes"
    " request_sha256 response_sha256"
).split()
BODY_FIELDS = (
    "content reasoning choices temperature max_tokens request_params usage units cost_parts notes"
    " refusal"
).split()

CORRECTION_FIELDS = (
    "corrected_at old_cost_usd new_cost_usd old_price_source new_price_source".split()
)


def session_json(session: Session) -> dict[str, JSON]:
    return {name: getattr(session, name) for name in SESSION_FIELDS}


def call_json(record: Record, fields: frozenset[str] | None = None) -> dict[str, JSON]:
    """Returns all fields, or these, in the order of `FIELDS`."""
    columns, derived = _split_fields(fields)
    values = {name: record.row[name] for name in columns}
    for name, one in derived.items():
        values[name] = one.value(record)
    return values


@lru_cache(maxsize=64)
def _split_fields(fields: frozenset[str] | None) -> tuple[list[str], dict[str, Derived]]:
    if fields is None:
        return _COLUMNS, DERIVED
    derived = {name: one for name, one in DERIVED.items() if name in fields}
    return [name for name in _COLUMNS if name in fields], derived


def selection_of(fields: frozenset[str] | None) -> Selection:
    """Returns what must be read to make these fields; None: all fields."""
    columns, derived = _split_fields(fields)
    needs = {need for one in derived.values() for need in one.needs}
    of_derived = (column for one in derived.values() for column in one.columns)
    return Selection(
        columns=frozenset([*columns, *of_derived]),
        texts=False,
        **{need: need in needs for need in _NEEDS},
    )


# --- fields that are not a column ---


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that is computed from columns and from related rows of a record."""

    value: Callable[[Record], JSON]
    columns: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


_NEEDS = ("parts", "tool_calls", "price_corrections", "binaries", "raw")


def _session_id(record: Record) -> JSON:
    return record.row["session_id"]


def _messages(record: Record) -> JSON:
    """Returns the messages as the agent sent them, markers for the provider's cache included: an
    array, or the one string that the Responses API accepts as `input`."""
    if record.history is None:
        return None
    joined = record.history.json if not record.is_marked else _with_marks(record)
    if record.history.n_messages == 1 and bytes(joined[:1]) == b'"':
        return Spliced([joined])
    return Spliced([b"[", joined, b"]"])


def _with_marks(record: Record) -> bytes:
    return b",".join(part.json for part in record.parts_as_sent if part.kind == "message")


def _system_prompt(record: Record) -> JSON:
    return record.prompt.text.data.decode() if record.prompt else None


def _tools(record: Record) -> JSON:
    tools = record.tools
    return orjson.Fragment(tools.json) if tools else None


def _tool_calls(record: Record) -> JSON:
    return [_tool_call(row) for row in record.tool_calls]


def _tool_call(row: Row) -> dict[str, JSON]:
    data = row["arguments"].encode()
    is_json = load(data)[1] is None
    arguments = orjson.Fragment(readable_json(data)) if is_json else row["arguments"]
    return {"id": row["tool_call_id"], "name": row["name"], "arguments": arguments}


def _tool_results(record: Record) -> JSON:
    results = [_tool_result(row) for row in record.tool_calls if row["result_action_id"]]
    return [*results, *(record.row["tool_results"] or [])]


def _tool_result(row: Row) -> dict[str, JSON]:
    return {
        "tool_call_id": row["tool_call_id"],
        "name": row["name"],
        "content": row["result"]["content"] if row["result"] else None,
        "is_error": row["result_is_error"],
    }


def _price_corrections(record: Record) -> JSON:
    return [{name: row[name] for name in CORRECTION_FIELDS} for row in record.price_corrections]


def _binaries(record: Record) -> JSON:
    return [_binary(binary) for binary in record.binaries]


def _binary(binary: Binary) -> dict[str, JSON]:
    thumbnail = binary.thumbnail
    return {
        "digest": bytes(binary.digest).hex(),
        "media_type": binary.media_type,
        "size_bytes": binary.size_bytes,
        "width": binary.width,
        "height": binary.height,
        "thumbnail": f"data:image/webp;base64,{b64encode(thumbnail).decode()}"
        if thumbnail is not None
        else None,
        "kept": bool(getattr(binary, "is_kept", False)),
    }


def _head(name: str) -> Derived:
    return Derived(lambda record: record.row["heads"][name], ("heads",))


def _tokens_per_second(record: Record) -> float | None:
    """Returns the rate of a stream, from its first content to its end."""
    tokens, ttft_ms, latency_ms = (record.row[name] for name in _RATE)
    if tokens is None or ttft_ms is None or latency_ms is None:
        return None
    seconds = (latency_ms - ttft_ms) / 1e3
    return tokens / seconds if seconds > 0 else None


_RATE = ("tokens_out", "ttft_ms", "latency_ms")


def _raw_request(record: Record) -> JSON:
    """Returns the body's text where the call could not be parsed; else None."""
    if not is_shown_raw(record.row):
        return None
    return _text(record.request(), record.row["heads"]["request"])


def _raw_response(record: Record) -> JSON:
    if not is_shown_raw(record.row):
        return None
    return _text(record.response(), record.row["heads"]["response"])


def _text(text: StoredText | None, headers: list[list[str | None]] | None) -> str | None:
    if text is None:
        return None
    content = text.data
    if not text.is_decoded:
        encodings = (value for name, value in headers or () if name == "content-encoding")
        limit = DEFAULT.decoded_limit(len(content))
        content = actual_content(content, next(encodings, None), limit)
    return content.decode(errors="replace")


DERIVED = {
    "session_id": Derived(_session_id, ("session_id",)),
    "messages": Derived(_messages, needs=("parts",)),
    "system_prompt": Derived(_system_prompt, needs=("parts",)),
    "tools": Derived(_tools, needs=("parts",)),
    "tool_calls": Derived(_tool_calls, needs=("tool_calls",)),
    "tool_results": Derived(_tool_results, ("tool_results",), ("tool_calls",)),
    "price_corrections": Derived(_price_corrections, needs=("price_corrections",)),
    "binaries": Derived(_binaries, needs=("parts", "binaries")),
    "upstream": _head("upstream"),
    "upstream_name": _head("upstream_name"),
    "target": _head("target"),
    "usage_injected": _head("usage_injected"),
    "headers_ms": _head("headers_ms"),
    "first_byte_ms": _head("first_byte_ms"),
    "tokens_per_second": Derived(_tokens_per_second, _RATE),
    "request_headers": Derived(lambda record: record.row["heads"]["request"], ("heads",)),
    "response_headers": Derived(lambda record: record.row["heads"]["response"], ("heads",)),
    "raw_request": Derived(_raw_request, ("heads",), ("raw",)),
    "raw_response": Derived(_raw_response, ("heads",), ("raw",)),
}
_COLUMNS = [*CALL_FIELDS, *BODY_FIELDS]
FIELDS = [*_COLUMNS, *DERIVED]
