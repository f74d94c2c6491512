"""A trace as its page's script takes it: columns, so that 20,000 calls are a few arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capture.models import Session
from reports.analysis.lineage import EVIDENCE
from reports.analysis.trace import Rows, Trace, name_of, trace
from reports.dashboard.formats import agent_colour, spelled_out
from reports.queries.session_calls import SessionCall, calls_of, tool_results_of

# Bits of a call's flags.
ERROR, REFUSED, WARNED, ESTIMATED, RETRY, CRITICAL = 1, 2, 4, 8, 16, 32


class _Names:
    """Each text once; a call tells its place."""

    def __init__(self) -> None:
        self.places: dict[str | None, int] = {}

    def place(self, name: str | None) -> int:
        return self.places.setdefault(name, len(self.places))

    def shown(self) -> list[str | None]:
        return [None if name is None else spelled_out(name) for name in self.places]


def trace_data(session: Session) -> dict[str, Any]:
    return data_of(trace(calls_of(session), tool_results_of(session)))


def data_of(found: Trace) -> dict[str, Any]:
    names = _Names()
    first = found.calls[0].timestamp if found.calls else None
    return {
        "begin": first and first.timestamp() * 1e3,
        "evidence": EVIDENCE,
        "calls": _calls(found, names),
        "rows": _rows(found.rows),
        "names": names.shown(),
        "colours": [agent_colour(name) for name in names.places],
    }


def _calls(found: Trace, names: _Names) -> dict[str, Any]:
    calls, links = found.calls, found.links
    return {
        "ids": "".join(call.action_id.hex for call in calls),
        "seq": [call.seq for call in calls],
        "name": [names.place(name_of(call)) for call in calls],
        "model": [names.place(call.model_id) for call in calls],
        "outcome": [names.place(call.outcome) for call in calls],
        "status": [call.status_code for call in calls],
        "attempt": [call.attempt for call in calls],
        "begin": _rounded(found.times.begin),
        "ttft": [call.ttft_ms and round(call.ttft_ms, 1) for call in calls],
        "ms": [call.latency_ms and round(call.latency_ms, 1) for call in calls],
        "in": [call.tokens_in for call in calls],
        "out": [call.tokens_out for call in calls],
        "cost": [call.cost_usd for call in calls],
        "flags": [_flags(call, place in found.critical) for place, call in enumerate(calls)],
        "parent": [link.parent for link in links],
        "evidence": [names.place(link.evidence) for link in links],
        "tool": [names.place(link.tool) for link in links],
        # Whether it names a parent that it is not shown below.
        "lost": [
            place
            for place, call in enumerate(calls)
            if call.parent_action_id and links[place].evidence != "given"
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
    """Sums of those rows alone that have others below them."""
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


def _rounded(numbers: list[float]) -> list[float]:
    return [round(number, 1) for number in numbers]
