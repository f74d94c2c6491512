"""The record of a call in the log, from its rows: when it is recorded, and whenever it is verified.

What is derived, or may change later, is no part of it, but for usage and cost as they were first
recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from capture.evidence.leaf import (
    CALL_FIELDS,
    COMMITTED,
    VERSION,
    Kind,
    Value,
    call_record,
    commitments,
    microseconds,
)
from capture.ledger.bulk_sql import Row
from capture.models import Call
from capture.pricing.cost import exact_usd
from capture.wire.json.lenient import clean

_COLUMNS = {field.attname for field in Call._meta.concrete_fields}
_BY_COLUMN = tuple(name for name in COMMITTED if name in _COLUMNS and name != "session_id")
# The columns of calls and of their bodies that a record is made of.
CALL_COLUMNS = (
    *(name for name in CALL_FIELDS if name in _COLUMNS and name != "session_id"),
    *("latency_ms", "request_sha256", "response_sha256", "timestamp", "ttft_ms"),
)
BODY_COLUMNS = ("content", "reasoning", "refusal", "log_secret")
TOOL_CALL_COLUMNS = ("tool_call_id", "name", "arguments")

# What a correction may change, and undo: the names are those in records.
CORRECTED = (
    *(name for name in CALL_FIELDS if name.startswith("tokens_")),
    *("cache_savings_usd", "cost_usd", "model_id", "price_source", "response_model"),
    *("service_tier", "usage_source"),
)


def record_of(
    row: Mapping[str, Any],
    body: Mapping[str, Any],
    tool_calls: Iterable[Mapping[str, Any]],
    *,
    session_id: str | None,
    as_recorded: Mapping[str, Value] | None = None,
) -> bytes:
    """Returns the record of a call. `tool_calls` are in the order of the response; `as_recorded`
    has the values that were corrected since."""
    texts = texts_of(row, body, tool_calls, session_id)
    parent: UUID | None = row["parent_action_id"]
    facts: dict[str, Value] = {
        **row,
        **commitments(texts, bytes(body["log_secret"])),
        "action_id": uuid_text(row["action_id"]),
        "agent_source": "header" if row["agent_name"] is not None else None,
        "at": microseconds(row["timestamp"]),
        "cache_savings_usd": _usd(row["cache_savings_usd"]),
        "cost_usd": _usd(row["cost_usd"]),
        "kind": Kind.CALL.value,
        "latency_us": _us(row["latency_ms"]),
        "n_calls": body["refusal"]["n_calls"] if body["refusal"] else 1,
        "parent_action_id": uuid_text(parent) if parent is not None else None,
        "session_source": "header" if session_id is not None else None,
        "source": "proxy",
        "streaming": int(row["streaming"]),
        "ttft_us": _us(row["ttft_ms"]),
        "v": VERSION,
        **(as_recorded or {}),
    }
    return call_record(facts)


def texts_of(
    row: Mapping[str, Any],
    body: Mapping[str, Any],
    tool_calls: Iterable[Mapping[str, Any]],
    session_id: str | None,
) -> dict[str, str | None]:
    """Returns the texts to which a record is a commitment."""
    texts = {name: _clean(row[name]) for name in _BY_COLUMN}
    texts["session_id"] = _clean(session_id)
    texts["request"] = row["request_sha256"]
    texts["response"] = row["response_sha256"]
    texts["texts"] = _response_texts(body["content"], body["reasoning"], tool_calls)
    return texts


def _response_texts(
    content: str | None, reasoning: str | None, tool_calls: Iterable[Mapping[str, Any]]
) -> str:
    """Returns what the model wrote, as compact JSON."""
    called = [[_clean(one[name]) for name in TOOL_CALL_COLUMNS] for one in tool_calls]
    return orjson.dumps([_clean(content), _clean(reasoning), called]).decode()


def _clean(text: str | None) -> str | None:
    return clean(text) if text is not None else None


def _usd(usd: Decimal | None) -> str | None:
    return exact_usd(usd) if usd is not None else None


def _us(ms: float | None) -> int | None:
    return round(ms * 1000) if ms is not None else None


def uuid_text(value: UUID) -> str:
    """Returns what `str` does, in half of the time."""
    digits = value.hex
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def corrections(old: Row, new: Row) -> dict[str, Value]:
    """Returns what a correction changes, as its record says it: both values of each."""
    changed: dict[str, Value] = {}
    for name in CORRECTED:
        if name in new and (before := _value(old[name])) != (after := _value(new[name])):
            changed[f"old_{name}"] = before
            changed[f"new_{name}"] = after
    return changed


def current_values(row: Row) -> dict[str, Value]:
    """Returns what a call has now of what may be corrected, as records say it."""
    return {name: _value(row[name]) for name in CORRECTED}


def _value(value: Any) -> Value:
    if isinstance(value, Decimal):
        return exact_usd(value)
    return clean(value) if isinstance(value, str) else value


def undo(made: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """Returns the values before these corrections, which are in the log's order."""
    first: dict[str, Value] = {}
    for facts in reversed(made):
        first.update({k[4:]: value for k, value in facts.items() if k.startswith("old_")})
    return first
