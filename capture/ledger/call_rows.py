"""The rows of a call and of its session, from what is understood of the call."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from math import isfinite

from capture.exchange import TOKEN_FIELD, Outcome
from capture.ledger.bulk_sql import Row
from capture.models import FIELD_LENGTH, NAME_LENGTH, Session
from capture.parsing.parse import UnderstoodCall
from capture.parsing.preview import preview_of
from capture.pricing.cost import Cost, CostParts
from capture.wire.binaries.references import Binary
from capture.wire.registry import FREE, KEPT_ANSWERS
from capture.wire.types import JSON, ToolResult, Usage

# What the columns hold.
MAX_TOTAL = {
    "tokens_in": 2**63 - 1,
    "tokens_out": 2**63 - 1,
    "cost_usd": Decimal(10**10 - 1),
    "latency_ms": float("inf"),
}
# No model reads or writes as many; sums of such counts stay far below what a column holds.
MAX_COUNT = 2**53

COST_PARTS = [field.name for field in fields(CostParts)]
TOKEN_COUNTS = [field.name for field in fields(Usage) if field.name.startswith("tokens_")]


def call_row(call: UnderstoodCall, scope: int, seq: int, session: Session | None) -> Row:
    parsed_response, usage, cost = call.parsed_response, call.usage, call.cost
    request = call.request
    return {
        "action_id": call.action_id,
        "seq": seq,
        "session_id": session.id if session else None,
        "scope": scope,
        "timestamp": call.timestamp,
        "agent_name": call.ledger_field("agent_name"),
        "user_id": call.ledger_field("user_id"),
        "app_id": call.ledger_field("app_id"),
        "ingest_token": call.ledger_field(TOKEN_FIELD),
        "environment": call.environment[:FIELD_LENGTH],
        "parent_action_id": call.parent_action_id,
        "handoff_from": call.ledger_field("handoff_from"),
        "handoff_to": call.ledger_field("handoff_to"),
        "method": request.method[:16] if request else "",
        "path": request.path if request else "",
        "wire_format": call.wire_format.NAME,
        "provider": call.provider,
        "model_id": cut(
            call.parsed_request.model_id or parsed_response.response_model, NAME_LENGTH
        ),
        "response_model": cut(parsed_response.response_model, NAME_LENGTH),
        "response_id": cut(parsed_response.response_id, NAME_LENGTH) if is_kept(call) else None,
        "fetch_of": None,
        "streaming": call.streaming,
        "outcome": str(call.outcome),
        "status_code": call.response_head.status if call.response_head else None,
        "stop_reason": cut(parsed_response.stop_reason, NAME_LENGTH),
        "error_detail": call.error_detail,
        "budget_warning": request.budget_warning if request else None,
        **{name: count(getattr(usage, name)) if usage else None for name in TOKEN_COUNTS},
        "usage_source": call.usage_source,
        "cost_usd": cost.total_usd,
        "cache_savings_usd": cost.cache_savings_usd,
        "price_source": cost.source[:NAME_LENGTH],
        "service_tier": cut(parsed_response.service_tier, NAME_LENGTH),
        "attempt": call.attempt,
        "retry_of": None,
        "latency_ms": call.latency_ms,
        "ttft_ms": call.ttft_ms,
        "request_bytes": call.request_bytes,
        "response_bytes": call.response_bytes,
        "request_sha256": call.request_sha256,
        "response_sha256": call.response_sha256,
        "preview": preview_of(call.parts),
        "refusal_code": request.refusal.code[:32] if request and request.refusal else None,
        "deleted_at": None,
    }


def is_kept(call: UnderstoodCall) -> bool:
    """Whether the provider keeps its answer, to be fetched again."""
    return call.wire_format.NAME in KEPT_ANSWERS


def binary_row(call: UnderstoodCall, scope: int, binary: Binary, *, keep: bool) -> Row:
    picture = call.pictures.get(binary.digest)
    return {
        "scope": scope,
        "digest": binary.digest,
        "media_type": binary.media_type,
        "size_bytes": len(binary.data),
        "width": picture.width if picture else None,
        "height": picture.height if picture else None,
        "thumbnail": picture.thumbnail if picture else None,
        "data": binary.data if keep else None,
        "action_id": call.action_id,
    }


def cost_parts(cost: Cost) -> dict[str, JSON] | None:
    """As text, exactly; only those that are not 0."""
    if cost.parts is None:
        return None
    return {name: f"{usd:f}" for name in COST_PARTS if (usd := getattr(cost.parts, name))}


def units(usage: Usage | None) -> dict[str, JSON] | None:
    """What JSON can hold; a database has no other numbers."""
    if usage is None:
        return None
    return {unit: n for unit, n in usage.units.items() if isfinite(n)} or None


def count(tokens: int | None) -> int | None:
    """What nobody can mean is no token count."""
    return tokens if tokens is not None and 0 <= tokens <= MAX_COUNT else None


def cut(text: str | None, length: int) -> str | None:
    return text[:length] if text is not None else None


def result_json(result: ToolResult) -> dict[str, JSON]:
    return {
        "tool_call_id": result.tool_call_id,
        "name": result.name,
        "content": result.content,
        "is_error": result.is_error,
    }


def add_to_totals(session: Session, row: Row, *, n_calls: int) -> list[tuple[str, str]]:
    """Returns what the session can be found by from now on: names and values of SessionValue."""
    session.revision += 1
    timestamp: datetime = row["timestamp"]
    session.started_at = min(session.started_at, timestamp)
    session.last_call_at = max(session.last_call_at, timestamp)
    session.call_count += n_calls
    session.refused_count += n_calls if row["outcome"] == Outcome.REFUSED else 0
    session.error_count += row["outcome"] not in (Outcome.COMPLETED, Outcome.REFUSED)
    for name in MAX_TOTAL:
        if name.startswith("tokens_") and row["wire_format"] in FREE:
            continue  # counted only: the call that follows uses them
        if row[name] is not None:
            total = (getattr(session, f"total_{name}") or 0) + row[name]
            setattr(session, f"total_{name}", min(total, MAX_TOTAL[name]))
    new = []
    for name, field in LISTS.items():
        values, value = getattr(session, field), row[name]
        if value is not None and value not in values:
            values.append(value)
            new.append((name, value))
    if new:
        session.names = session_names(session)
    return new


# A call's column, and the list of its values that a session has.
LISTS = {
    "model_id": "models",
    "agent_name": "agents",
    "user_id": "users",
    "app_id": "apps",
    "environment": "environments",
}


def session_names(session: Session) -> str:
    names = [session.session_id, *session.agents, *session.users, *session.labels]
    return "\n".join(names).casefold()


_SESSION_FIELDS = [field.attname for field in Session._meta.concrete_fields]
# What readers set, the recorder does not set back.
_OF_READERS = {"labels", "note", "pinned", "deleted_at"}
_RECORDED_FIELDS = [name for name in _SESSION_FIELDS if name not in _OF_READERS]


def session_row(session: Session, *, is_new: bool) -> Row:
    names = _SESSION_FIELDS if is_new else _RECORDED_FIELDS
    return {name: getattr(session, name) for name in names}
