"""The two rows of a call: what is filtered, sorted or summed, and its texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite

from capture.exchange import TOKEN_FIELD
from capture.ledger.bulk_sql import Row
from capture.ledger.compression import Packed, pack_text
from capture.ledger.entry import Entry
from capture.ledger.message_refs import pack_refs
from capture.ledger.parts import PartRows
from capture.models import FIELD_LENGTH, NAME_LENGTH, Session
from capture.parsing.preview import preview_of
from capture.pricing.cost import Cost, CostParts, exact_usd
from capture.wire.binaries.references import StoredText
from capture.wire.types import JSON, ParsedToolResult, Usage

# No model reads or writes that many tokens, and sums of such counts stay far below what a column
# holds.
MAX_COUNT = 2**53

CHARGED = "charged_usd"
"""The key among a call's heads of what budgets were charged in place of an unknown cost."""
CHARGED_NOTE = "its cost is unknown; budgets were charged the estimate of"

COST_PARTS = CostParts._fields
TOKEN_COUNTS = [field.name for field in fields(Usage) if field.name.startswith("tokens_")]


def call_row(entry: Entry, scope: int, seq: int, session: Session | None) -> Row:
    call, cost = entry.call, entry.cost
    parsed_response, usage, request = call.parsed_response, call.usage, call.request
    ledger: Mapping[str, str] = request.ledger if request else {}
    return {
        "action_id": call.action_id,
        "seq": seq,
        "session_id": session.id if session else None,
        "scope": scope,
        "timestamp": call.timestamp,
        "agent_name": ledger.get("agent_name"),
        "user_id": ledger.get("user_id"),
        "app_id": ledger.get("app_id"),
        "ingest_token": ledger.get(TOKEN_FIELD),
        "environment": call.environment[:FIELD_LENGTH],
        "parent_action_id": call.parent_action_id,
        "handoff_from": ledger.get("handoff_from"),
        "handoff_to": ledger.get("handoff_to"),
        "method": request.method[:16] if request else "",
        "path": request.path if request else "",
        "wire_format": call.wire_format.NAME,
        "provider": call.provider,
        "model_id": truncate(
            call.parsed_request.model_id or parsed_response.response_model, NAME_LENGTH
        ),
        "response_model": truncate(parsed_response.response_model, NAME_LENGTH),
        "response_id": truncate(call.stored_id, NAME_LENGTH),
        "fetch_of": None,
        "streaming": call.streaming,
        "outcome": str(call.outcome),
        "status_code": call.status,
        "stop_reason": truncate(parsed_response.stop_reason, NAME_LENGTH),
        "error_detail": call.error_detail,
        "budget_warning": request.budget_warning if request else None,
        **token_counts(usage),
        "usage_source": call.usage_source,
        "cost_usd": cost.total_usd,
        "cache_savings_usd": cost.cache_savings_usd,
        "price_source": cost.source[:NAME_LENGTH],
        "service_tier": truncate(parsed_response.service_tier, NAME_LENGTH),
        "attempt": call.attempt,
        "retry_of": None,
        "latency_ms": call.latency_ms,
        "ttft_ms": call.ttft_ms,
        "request_bytes": call.request_bytes,
        "response_bytes": call.response_bytes,
        "request_sha256": call.request_sha256,
        "response_sha256": call.response_sha256,
        "log_index": None,
        "session_call": None,
        "preview": preview_of(call.parts),
        "refusal_code": request.refusal.code[:32] if request and request.refusal else None,
        "deleted_at": None,
    }


def token_counts(usage: Usage | None) -> Row:
    return {name: valid_count(getattr(usage, name)) if usage else None for name in TOKEN_COUNTS}


def body_row(entry: Entry, parts: PartRows, scope: int, orphans: list[ParsedToolResult]) -> Row:
    """`orphans` are tool results that no tool call on record waits for."""
    call = entry.call
    parsed_response, parsed_request = call.parsed_response, call.parsed_request
    frame = _pack(call.frame) if call.frame is not None else None
    response = _pack(call.response)
    return {
        "call_id": call.action_id,
        "content": parsed_response.content,
        "reasoning": parsed_response.reasoning,
        "choices": parsed_response.choices or None,
        "temperature": parsed_request.temperature,
        "max_tokens": valid_count(parsed_request.max_tokens),
        "request_params": parsed_request.params or None,
        "usage": call.usage.raw or None if call.usage else None,
        "units": units(call.usage),
        "cost_parts": cost_parts(entry.cost),
        "tool_results": [result_json(result) for result in orphans] or None,
        "heads": heads(entry),
        "notes": notes(entry) or None,
        "refusal": call.refusal,
        "prompt_ref": parts.ref(scope, call.prompt) if call.prompt else None,
        "part_refs": pack_refs(parts.ref(scope, part) for part in call.parts),
        "frame": frame.data if frame else None,
        "frame_is_whole": call.frame_is_whole,
        "frame_encoding": frame.encoding if frame else 0,
        "response": response.data,
        "response_encoding": response.encoding,
        "log_secret": None,
    }


def _pack(text: StoredText) -> Packed:
    return pack_text(text.data, text.references, is_decoded=text.is_decoded, marks=text.marks)


def heads(entry: Entry) -> dict[str, JSON]:
    """Returns both heads, as far as they are recorded."""
    call = entry.call
    request, response = call.request, call.response_head
    return {
        "target": request.target if request else None,
        "upstream": request.upstream if request else None,
        "upstream_name": request.upstream_name if request else None,
        "usage_injected": request.usage_injected if request else None,
        "request": request.headers if request else None,
        "response": response.headers if response else None,
        "headers_ms": response.at_ns / 1e6 if response else None,
        "first_byte_ms": call.first_byte_ms,
        **({CHARGED: usd} if (usd := charged_estimate(entry)) else {}),
    }


def notes(entry: Entry) -> list[str]:
    notes = [*entry.call.notes]
    usage = entry.call.usage
    is_billed_beside_tokens = entry.cost.total_usd is None and usage and usage.units
    if entry.cost.is_noted or is_billed_beside_tokens:
        notes.append(f"its cost is unknown: {entry.cost.why}")
    if usd := charged_estimate(entry):
        notes.append(f"{CHARGED_NOTE} {usd} USD")
    return notes


def charged_estimate(entry: Entry) -> str | None:
    """Returns what budgets were charged in place of a cost that is not known."""
    if entry.cost.total_usd is None and (usd := entry.charge_usd):
        return exact_usd(usd)
    return None


def cost_parts(cost: Cost) -> dict[str, JSON] | None:
    """Returns the parts that are not 0 as exact text; None if the cost is unknown."""
    if cost.parts is None:
        return None
    return {name: f"{usd:f}" for name, usd in zip(COST_PARTS, cost.parts, strict=True) if usd}


def units(usage: Usage | None) -> dict[str, JSON] | None:
    """Returns the counts that JSON can hold: neither database stores infinities or NaN in it."""
    if usage is None:
        return None
    return {unit: n for unit, n in usage.units.items() if isfinite(n)} or None


def valid_count(tokens: int | None) -> int | None:
    """Returns None for a count that is negative or beyond all sense."""
    return tokens if tokens is not None and 0 <= tokens <= MAX_COUNT else None


def truncate(text: str | None, length: int) -> str | None:
    return text[:length] if text is not None else None


def result_json(result: ParsedToolResult) -> dict[str, JSON]:
    return {
        "tool_call_id": result.tool_call_id,
        "name": result.name,
        "content": result.content,
        "is_error": result.is_error,
    }
