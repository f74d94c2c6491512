"""The calls that run in this process, as lists of calls show them."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import UUID

from capture.exchange import datetime_from_ns
from capture.parsing.parsed_call import DEFAULT_ENVIRONMENT
from capture.proxy import runtime
from capture.spool.writer import RunningCall
from capture.wire.registry import by_name
from reports.queries.call_list import FIELDS, ShortCall

RUNNING = "running"
# A quote within a JSON string has a backslash before it, so what matches is a key.
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.){1,255})"')
_MODEL_IN_PATH = re.compile(r"/models?/([^/:]{1,255})(?::|/)")
UNKNOWN: ShortCall = dict.fromkeys(FIELDS)


def running_calls() -> dict[str, ShortCall]:
    """Returns them by action_id, the earliest first."""
    process = runtime.current()
    if process is None:
        return {}
    return {
        str(id_): _short_call(id_, call)
        for key, call in list(process.writer.running.items())
        for id_ in (UUID(bytes=key),)
    }


def _short_call(action_id: UUID, call: RunningCall) -> ShortCall:
    head = call.head
    known: dict[str, Any] = {
        name: head.ledger.get(name)
        for name in ("session_id", "agent_name", "user_id", "app_id", "handoff_from", "handoff_to")
    }
    return {
        **UNKNOWN,
        **known,
        "action_id": str(action_id),
        "timestamp": datetime_from_ns(head.started_ns),
        "environment": head.ledger.get("environment") or DEFAULT_ENVIRONMENT,
        "model_id": _model(call),
        "provider": head.provider or by_name(head.wire_format).PROVIDER,
        "outcome": RUNNING,
        "budget_warning": head.budget_warning,
        "latency_ms": max(0, time.time_ns() - head.started_ns) / 1e6,
    }


def _model(call: RunningCall) -> str | None:
    """Returns the model that the request names, as far as that shows without parsing its body."""
    for piece in (call.ending, call.beginning):
        found = _MODEL.findall(piece)
        if found:
            name: bytes = found[-1]
            return name.decode(errors="replace")
    in_path = _MODEL_IN_PATH.search(call.head.path)
    return in_path[1] if in_path else None
