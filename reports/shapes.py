"""How sessions and calls look in JSON: ../product contract, names as in the ledger."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson

from capture.models import Binary, Call, Session, ToolCall
from capture.texts import Text
from capture.wire import by_name
from capture.wire.encoding import decode
from capture.wire.jsontext import clean_json, load
from reports.queries import Part, Record

JSON = Any

SESSION_FIELDS = (
    "session_id started_at last_call_at call_count error_count refused_count total_tokens_in"
    " total_tokens_out total_cost_usd total_latency_ms models agents users apps environments"
).split()

# Fields of a call's JSON that are the ledger's own columns.
CALL_FIELDS = (
    "action_id timestamp model_id provider stop_reason tokens_in tokens_out cost_usd latency_ms"
    " status_code error_detail agent_name user_id app_id environment parent_action_id handoff_from"
    " handoff_to seq ttft_ms streaming method path wire_format response_model tokens_cache_read"
    " tokens_cache_write tokens_cache_write_1h tokens_reasoning tokens_audio_in tokens_audio_out"
    " tokens_image_in tokens_image_out usage_source price_source cache_savings_usd service_tier"
    " attempt retry_of response_id fetch_of outcome budget_warning request_bytes answer_bytes"
    " request_sha256 answer_sha256"
).split()
BODY_FIELDS = (
    "content reasoning choices temperature max_tokens request_params usage units cost_parts notes"
    " refusal"
).split()

CORRECTION_FIELDS = (
    "corrected_at old_cost_usd new_cost_usd old_price_source new_price_source".split()
)

MAX_RAW = 256 * 1024 * 1024


def session_json(session: Session) -> dict[str, JSON]:
    return {name: getattr(session, name) for name in SESSION_FIELDS}


def call_json(record: Record) -> dict[str, JSON]:
    call, body = record.call, record.call.body
    shape: dict[str, JSON] = {name: getattr(call, name) for name in CALL_FIELDS}
    shape |= {name: getattr(body, name) for name in BODY_FIELDS}
    shape |= {
        "session_id": call.session.session_id if call.session else None,
        "messages": _messages(record.parts),
        "system_prompt": record.prompt,
        "tools": next(
            (_json(part.text.data) for part in record.parts if part.kind == "tools"), None
        ),
        "tool_calls": [_tool_call(row) for row in _in_order(call)],
        "tool_results": [
            *(_tool_result(row) for row in _in_order(call) if row.result_action_id),
            *(body.tool_results or []),
        ],
        "price_corrections": [
            {name: getattr(row, name) for name in CORRECTION_FIELDS}
            for row in sorted(call.price_corrections.all(), key=lambda row: row.pk)
        ],
        "binaries": [_binary(binary) for binary in record.binaries],
        "upstream": body.heads["upstream"],
        "upstream_name": body.heads["upstream_name"],
        "target": body.heads["target"],
        "usage_injected": body.heads["usage_injected"],
        "headers_ms": body.heads["headers_ms"],
        "first_byte_ms": body.heads["first_byte_ms"],
        "tokens_per_second": _tokens_per_second(call),
        "request_headers": body.heads["request"],
        "answer_headers": body.heads["answer"],
        **_raw(record),
    }
    return shape


def _tokens_per_second(call: Call) -> float | None:
    """Of a stream, from its first content to its end."""
    if call.tokens_out is None or call.ttft_ms is None or call.latency_ms is None:
        return None
    seconds = (call.latency_ms - call.ttft_ms) / 1e3
    return call.tokens_out / seconds if seconds > 0 else None


def _messages(parts: list[Part]) -> JSON:
    """As the agent sent them: the array, or the one string that Responses take as `input`."""
    messages = [part.text.data for part in parts if part.kind == "message"]
    if len(messages) == 1 and messages[0].startswith(b'"'):
        return _json(messages[0])
    return [_json(message) for message in messages] if messages else None


def _json(data: bytes) -> JSON:
    """The stored bytes go out as they are, if all readers of JSON can take them."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return clean_json(load(data)[0])
    return orjson.Fragment(data)


def _in_order(call: Call) -> list[ToolCall]:
    return sorted(call.tool_call_rows.all(), key=lambda row: row.position)


def _tool_call(row: ToolCall) -> dict[str, JSON]:
    data = row.arguments.encode()
    is_json = load(data)[1] is None
    arguments = _json(data) if is_json else row.arguments
    return {"id": row.tool_call_id, "name": row.name, "arguments": arguments}


def _tool_result(row: ToolCall) -> dict[str, JSON]:
    return {
        "tool_call_id": row.tool_call_id,
        "name": row.name,
        "content": row.result["content"] if row.result else None,
        "is_error": row.result_is_error,
    }


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


def _raw(record: Record) -> dict[str, JSON]:
    """The texts themselves where they could not be understood; else null."""
    call = record.call
    if call.wire_format != by_name("raw").NAME and not call.body.notes:
        return {"raw_request": None, "raw_answer": None}
    heads = call.body.heads
    return {
        "raw_request": _text(record.request(), heads["request"]),
        "raw_answer": _text(record.answer, heads["answer"]),
    }


def _text(text: Text | None, headers: list[list[str]] | None) -> str | None:
    if text is None:
        return None
    encodings = (value for name, value in headers or () if name == "content-encoding")
    encoding = None if text.is_decoded else next(encodings, None)
    return decode([text.data], encoding, MAX_RAW).body.decode(errors="replace")
