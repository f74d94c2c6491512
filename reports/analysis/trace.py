"""A session as a waterfall: rows in the order in which they are read, each below what led to it.
Runs of calls that bear one name are folded into a row of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from reports.analysis.lineage import ROOT, Link, Times, lineage, times_of
from reports.queries.session_calls import SessionCall, ToolResult

MIN_FOLDED = 5
FOLD = -1


@dataclass(slots=True)
class Rows:
    """One entry a row in each list. Of a row with others below it, the sums include them all."""

    call: list[int] = field(default_factory=list)  # its place, or FOLD
    first: list[int] = field(default_factory=list)  # the place of its call, or its first one
    depth: list[int] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)  # a row, or ROOT
    n_below: list[int] = field(default_factory=list)  # rows
    n_folded: list[int] = field(default_factory=list)  # calls that a fold is made of; else 0
    n_calls: list[int] = field(default_factory=list)
    n_errors: list[int] = field(default_factory=list)
    n_warned: list[int] = field(default_factory=list)
    n_unpriced: list[int] = field(default_factory=list)
    n_estimated: list[int] = field(default_factory=list)
    cost_usd: list[Decimal] = field(default_factory=list)
    begin: list[float] = field(default_factory=list)  # ms, as of Times
    end: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trace:
    calls: Sequence[SessionCall]
    times: Times
    links: list[Link]
    critical: set[int]
    rows: Rows


def trace(calls: Sequence[SessionCall], tool_results: Sequence[ToolResult]) -> Trace:
    """`calls` are in time order."""
    times = times_of(calls)
    links = lineage(calls, tool_results, times)
    return Trace(calls, times, links, critical_path(times), _rows(calls, times, links))


def critical_path(times: Times) -> set[int]:
    """Back from the call that ended last: what ended last before it began, and so on. None of them
    could have taken longer without the session taking longer."""
    by_end = sorted(range(len(times.end)), key=lambda place: (times.end[place], place))
    path: set[int] = set()
    begin = float("inf")
    for place in reversed(by_end):
        if times.end[place] <= begin:
            path.add(place)
            begin = times.begin[place]
    return path


def name_of(call: SessionCall) -> str | None:
    return call.agent_name if call.agent_name is not None else call.model_id


def _rows(calls: Sequence[SessionCall], times: Times, links: Sequence[Link]) -> Rows:
    children: list[list[int]] = [[] for _ in calls]
    roots: list[int] = []
    for place, link in enumerate(links):
        (roots if link.parent == ROOT else children[link.parent]).append(place)
    rows = Rows()
    # What is still to be written, the next one last: places of calls that bear one name.
    runs = _runs(calls, roots)
    if len(runs) == 1:  # folded, it would hide everything
        runs = [[place] for place in roots]
    waiting = [(run, 0, ROOT) for run in reversed(runs)]
    while waiting:
        run, depth, parent = waiting.pop()
        row = len(rows.call)
        if len(run) >= MIN_FOLDED:
            _add_fold(rows, run, depth, parent, times)
            waiting += [([place], depth + 1, row) for place in reversed(run)]
        elif len(run) > 1:
            waiting += [([place], depth, parent) for place in reversed(run)]
        else:
            [place] = run
            _add_call(rows, place, depth, parent, calls[place], times)
            if children[place]:
                runs = _runs(calls, children[place])
                waiting += [(below, depth + 1, row) for below in reversed(runs)]
    _add_up(rows)
    return rows


def _runs(calls: Sequence[SessionCall], places: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for place in places:
        if runs and name_of(calls[runs[-1][0]]) == name_of(calls[place]):
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _add_fold(rows: Rows, run: Sequence[int], depth: int, parent: int, times: Times) -> None:
    first = run[0]
    _add(rows, FOLD, first, depth, parent)
    rows.n_folded.append(len(run))
    _add_sums(rows, 0, 0, 0, 0, 0, Decimal(0))
    rows.begin.append(times.begin[first])
    rows.end.append(times.end[first])


def _add_call(
    rows: Rows, place: int, depth: int, parent: int, call: SessionCall, times: Times
) -> None:
    _add(rows, place, place, depth, parent)
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
    rows.begin.append(times.begin[place])
    rows.end.append(times.end[place])


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
    """From the last row to the first, so that each is whole before it is added to its parent."""
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
