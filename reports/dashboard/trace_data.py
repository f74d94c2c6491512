"""A trace as JSON for its page's script: columns, so that 20,000 calls are a few arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capture.models import Session
from reports.analysis.lineage import EVIDENCE
from reports.analysis.trace import Rows, Trace, build_trace, row_name
from reports.output.formats import agent_colour, spell_out
from reports.queries.session_calls import SessionCall, read_session_calls, read_tool_results

# The bits of a call's `flags`.
ERROR, REFUSED, WARNED, ESTIMATED, RETRY, CRITICAL = 1, 2, 4, 8, 16, 32


class _Names:
    """A table that holds each text once; calls refer to a text by its index."""

    def __init__(self) -> None:
        self.indexes: dict[str | None, int] = {}

    def index(self, name: str | None) -> int:
        return self.indexes.setdefault(name, len(self.indexes))

    def as_list(self) -> list[str | None]:
        return [None if name is None else spell_out(name) for name in self.indexes]


def trace_data(session: Session) -> dict[str, Any]:
    return trace_json_data(build_trace(read_session_calls(session), read_tool_results(session)))


def trace_json_data(trace: Trace) -> dict[str, Any]:
    names = _Names()
    first = trace.calls[0].timestamp if trace.calls else None
    return {
        "begin": first and first.timestamp() * 1e3,
        "evidence": EVIDENCE,
        "calls": _calls(trace, names),
        "rows": _rows(trace.rows),
        "names": names.as_list(),
        "colours": [agent_colour(name) for name in names.indexes],
    }


def _calls(trace: Trace, names: _Names) -> dict[str, Any]:
    calls, links = trace.calls, trace.links
    return {
        "ids": "".join(call.action_id.hex for call in calls),
        "seq": [call.seq for call in calls],
        "name": [names.index(row_name(call)) for call in calls],
        "model": [names.index(call.model_id) for call in calls],
        "outcome": [names.index(call.outcome) for call in calls],
        "status": [call.status_code for call in calls],
        "attempt": [call.attempt for call in calls],
        "begin": _round_to_tenths(trace.times.begin),
        "ttft": [call.ttft_ms and round(call.ttft_ms, 1) for call in calls],
        "ms": [call.latency_ms and round(call.latency_ms, 1) for call in calls],
        "in": [call.tokens_in for call in calls],
        "out": [call.tokens_out for call in calls],
        "cost": [call.cost_usd for call in calls],
        "flags": [_flags(call, index in trace.critical) for index, call in enumerate(calls)],
        "parent": [link.parent for link in links],
        "evidence": [names.index(link.evidence) for link in links],
        "tool": [names.index(link.tool) for link in links],
        # The calls that name a parent but are not shown below it.
        "lost": [
            index
            for index, call in enumerate(calls)
            if call.parent_action_id and links[index].evidence != "given"
        ],
    }


def _flags(call: SessionCall, is_critical: bool) -> int:
    return (
        ERROR * call.is_error
        + REFUSED * call.is_refused
        + WARNED * call.is_warned
        + ESTIMATED * (call.usage_source == "estimated")
        + RETRY * (call.attempt > 1)
        + CRITICAL * is_critical
    )


def _rows(rows: Rows) -> dict[str, Any]:
    """Returns the rows, with sums only for rows that have others below them."""
    above = [row for row, n_below in enumerate(rows.n_below) if n_below]
    summed: dict[str, Sequence[Any]] = {
        "below": rows.n_below,
        "folded": rows.n_folded,
        "first": rows.first,
        "calls": rows.n_calls,
        "errors": rows.n_errors,
        "warned": rows.n_warned,
        "unpriced": rows.n_unpriced,
        "estimated": rows.n_estimated,
        "cost": rows.cost_usd,
        "begin": rows.begin,
        "end": rows.end,
    }
    return {
        "call": rows.call,
        "parent": rows.parent,
        "above": above,
        "sums": {name: [column[row] for row in above] for name, column in summed.items()},
    }


def _round_to_tenths(numbers: list[float]) -> list[float]:
    return [round(number, 1) for number in numbers]
