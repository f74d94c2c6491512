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

from capture.evidence.leaf import COMMITTED, Value, call_record, microseconds
from capture.ledger.bulk_sql import Row
from capture.pricing.cost import exact_usd
from capture.wire.json.lenient import clean

_AS_THEY_ARE = (
    "attempt",
    "request_bytes",
    "response_bytes",
    "seq",
    "session_call",
    "status_code",
    "tokens_audio_in",
    "tokens_audio_out",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_cache_write_1h",
    "tokens_image_in",
    "tokens_image_out",
    "tokens_in",
    "tokens_out",
    "tokens_reasoning",
)
_NAMES = (
    "app_id",
    "environment",
    "ingest_token",
    "method",
    "model_id",
    "outcome",
    "price_source",
    "provider",
    "refusal_code",
    "response_id",
    "response_model",
    "service_tier",
    "stop_reason",
    "usage_source",
    "wire_format",
)
_COLUMNS = tuple(name for name in COMMITTED if name not in ("request", "response", "texts"))
_BY_COLUMN = tuple(name for name in _COLUMNS if name != "session_id")
# The columns of calls and of their bodies that a record is made of.
CALL_COLUMNS = (
    *_AS_THEY_ARE,
    *_NAMES,
    *_BY_COLUMN,
    *("action_id", "cache_savings_usd", "cost_usd", "latency_ms", "parent_action_id"),
    *("request_sha256", "response_sha256", "streaming", "timestamp", "ttft_ms"),
)
BODY_COLUMNS = ("content", "reasoning", "refusal", "log_secret")
TOOL_CALL_COLUMNS = ("tool_call_id", "name", "arguments")

# What a correction may change, and undo: the names are those in records.
CORRECTED = (
    *(name for name in _AS_THEY_ARE if name.startswith("tokens_")),
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
    facts = facts_of(row)
    facts["n_calls"] = body["refusal"]["n_calls"] if body["refusal"] else 1
    facts["session_source"] = "header" if session_id is not None else None
    if as_recorded:
        facts.update(as_recorded)
    return call_record(
        facts, texts_of(row, body, tool_calls, session_id), bytes(body["log_secret"])
    )


def facts_of(row: Mapping[str, Any]) -> dict[str, Value]:
    """Returns what a record says in plain text, but for what needs the session."""
    facts: dict[str, Value] = {name: row[name] for name in _AS_THEY_ARE}
    for name in _NAMES:
        text = row[name]
        facts[name] = clean(text) if text is not None else None
    facts["action_id"] = str(row["action_id"])
    facts["agent_source"] = "header" if row["agent_name"] is not None else None
    facts["at"] = microseconds(row["timestamp"])
    facts["cache_savings_usd"] = _usd(row["cache_savings_usd"])
    facts["cost_usd"] = _usd(row["cost_usd"])
    facts["latency_us"] = _us(row["latency_ms"])
    parent: UUID | None = row["parent_action_id"]
    facts["parent_action_id"] = str(parent) if parent is not None else None
    facts["source"] = "proxy"
    facts["streaming"] = int(row["streaming"])
    facts["ttft_us"] = _us(row["ttft_ms"])
    return facts


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


def corrections(old: Row, new: Row) -> dict[str, Value]:
    """Returns what a correction changes, as its record says it: both values of each."""
    changed: dict[str, Value] = {}
    for name in CORRECTED:
        if name in new and (before := _value(old[name])) != (after := _value(new[name])):
            changed[f"old_{name}"] = before
            changed[f"new_{name}"] = after
    return changed


def _value(value: Any) -> Value:
    if isinstance(value, Decimal):
        return exact_usd(value)
    return clean(value) if isinstance(value, str) else value


def undo(records: Sequence[bytes]) -> dict[str, Value]:
    """Returns the values before these corrections, which are in the log's order."""
    first: dict[str, Value] = {}
    for one in reversed(records):
        facts = orjson.loads(one)
        first.update({k[4:]: value for k, value in facts.items() if k.startswith("old_")})
    return first
