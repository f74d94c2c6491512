"""A session as a waterfall: rows in display order, each below the call that led to it.

Consecutive calls with the same name are folded into a row of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from reports.analysis.lineage import ROOT, CallTimes, Link, call_times, link_calls
from reports.queries.session_calls import SessionCall, ToolResultLink

MIN_FOLDED = 5
FOLD = -1


@dataclass(slots=True)
class Rows:
    """The rows as columns: each list has one entry per row.

    The sums of a row include the rows below it.
    """

    call: list[int] = field(default_factory=list)  # the call's index, or FOLD
    first: list[int] = field(
        default_factory=list
    )  # the index of the row's call, or of its first one
    depth: list[int] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)  # a row's index, or ROOT
    n_below: list[int] = field(default_factory=list)  # descendant rows
    n_folded: list[int] = field(default_factory=list)  # calls in a fold; 0 for other rows
    n_calls: list[int] = field(default_factory=list)
    n_errors: list[int] = field(default_factory=list)
    n_warned: list[int] = field(default_factory=list)
    n_unpriced: list[int] = field(default_factory=list)
    n_estimated: list[int] = field(default_factory=list)
    cost_usd: list[Decimal] = field(default_factory=list)
    begin: list[float] = field(default_factory=list)  # in ms, as in CallTimes
    end: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trace:
    calls: Sequence[SessionCall]
    times: CallTimes
    links: list[Link]
    critical: set[int]
    rows: Rows


def build_trace(calls: Sequence[SessionCall], tool_results: Sequence[ToolResultLink]) -> Trace:
    """Links the calls and arranges them in rows. `calls` are in time order."""
    times = call_times(calls)
    links = link_calls(calls, tool_results, times)
    return Trace(calls, times, links, critical_path(times), _rows(calls, times, links))


def critical_path(times: CallTimes) -> set[int]:
    """Returns the indexes of the calls that determined how long the session took.

    The path goes back from the call that ended last to the call that ended last before that one
    began, and so on.
    """
    by_end = sorted(range(len(times.end)), key=lambda index: (times.end[index], index))
    path: set[int] = set()
    begin = float("inf")
    for index in reversed(by_end):
        if times.end[index] <= begin:
            path.add(index)
            begin = times.begin[index]
    return path


def row_name(call: SessionCall) -> str | None:
    """Returns the agent's name, or the model's for a call without one."""
    return call.agent_name if call.agent_name is not None else call.model_id


def _rows(calls: Sequence[SessionCall], times: CallTimes, links: Sequence[Link]) -> Rows:
    children: list[list[int]] = [[] for _ in calls]
    roots: list[int] = []
    for index, link in enumerate(links):
        (roots if link.parent == ROOT else children[link.parent]).append(index)
    rows = Rows()
    # A stack of (calls with the same name, depth, parent row) still to be written.
    runs = _runs(calls, roots)
    if len(runs) == 1:  # a single fold would hide everything
        runs = [[index] for index in roots]
    stack = [(run, 0, ROOT) for run in reversed(runs)]
    while stack:
        run, depth, parent = stack.pop()
        row = len(rows.call)
        if len(run) >= MIN_FOLDED:
            _add_fold(rows, run, depth, parent, times)
            stack += [([index], depth + 1, row) for index in reversed(run)]
        elif len(run) > 1:
            stack += [([index], depth, parent) for index in reversed(run)]
        else:
            [index] = run
            _add_call(rows, index, depth, parent, calls[index], times)
            if children[index]:
                runs = _runs(calls, children[index])
                stack += [(below, depth + 1, row) for below in reversed(runs)]
    _add_up(rows)
    return rows


def _runs(calls: Sequence[SessionCall], indexes: Sequence[int]) -> list[list[int]]:
    """Groups neighbours with the same name."""
    runs: list[list[int]] = []
    for index in indexes:
        if runs and row_name(calls[runs[-1][0]]) == row_name(calls[index]):
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _add_fold(rows: Rows, run: Sequence[int], depth: int, parent: int, times: CallTimes) -> None:
    first = run[0]
    _add(rows, FOLD, first, depth, parent)
    rows.n_folded.append(len(run))
    _add_sums(rows, 0, 0, 0, 0, 0, Decimal(0))
    rows.begin.append(times.begin[first])
    rows.end.append(times.end[first])


def _add_call(
    rows: Rows, index: int, depth: int, parent: int, call: SessionCall, times: CallTimes
) -> None:
    _add(rows, index, index, depth, parent)
    rows.n_folded.append(0)
    cost = call.cost_usd
    _add_sums(
        rows,
        1,
        int(call.outcome != "completed"),
        int(call.is_warned),
        int(cost is None),
        int(call.usage_source == "estimated"),
        cost or Decimal(0),
    )
    rows.begin.append(times.begin[index])
    rows.end.append(times.end[index])


def _add(rows: Rows, call: int, first: int, depth: int, parent: int) -> None:
    rows.call.append(call)
    rows.first.append(first)
    rows.depth.append(depth)
    rows.parent.append(parent)
    rows.n_below.append(0)


def _add_sums(
    rows: Rows,
    n_calls: int,
    n_errors: int,
    n_warned: int,
    n_unpriced: int,
    n_estimated: int,
    cost_usd: Decimal,
) -> None:
    rows.n_calls.append(n_calls)
    rows.n_errors.append(n_errors)
    rows.n_warned.append(n_warned)
    rows.n_unpriced.append(n_unpriced)
    rows.n_estimated.append(n_estimated)
    rows.cost_usd.append(cost_usd)


def _add_up(rows: Rows) -> None:
    """Adds each row's sums to its parent, from the last row to the first: a row is complete before
    it is added."""
    sums = (rows.n_calls, rows.n_errors, rows.n_warned, rows.n_unpriced, rows.n_estimated)
    for row in range(len(rows.call) - 1, -1, -1):
        parent = rows.parent[row]
        if parent == ROOT:
            continue
        rows.n_below[parent] += rows.n_below[row] + 1
        for numbers in sums:
            numbers[parent] += numbers[row]
        rows.cost_usd[parent] += rows.cost_usd[row]
        rows.begin[parent] = min(rows.begin[parent], rows.begin[row])
        rows.end[parent] = max(rows.end[parent], rows.end[row])
