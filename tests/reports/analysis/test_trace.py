"""What led to what, and the rows that show it."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from reports.analysis.lineage import ROOT, CallTimes, call_times, link_calls
from reports.analysis.trace import (
    FOLD,
    MIN_FOLDED,
    build_trace,
    critical_path,
    row_name,
)
from reports.queries.session_calls import SessionCall, ToolResultLink
from tests.reports.analysis.test_flow import BOSS, FINDER, WRITER, call, sessions


def links(calls: list[SessionCall], *results: ToolResultLink) -> list[tuple[int, str]]:
    found = link_calls(calls, results, call_times(calls))
    return [(link.parent, link.evidence) for link in found]


def test_a_named_parent_is_taken_whatever_the_times_say() -> None:
    calls = [call(0, BOSS, ms=9000), call(1, FINDER), call(2, WRITER, parent=0)]
    assert links(calls) == [(ROOT, "none"), (ROOT, "none"), (0, "given")]


def test_a_named_parent_that_came_later_is_not_believed() -> None:
    assert links([call(0, BOSS, parent=1), call(1, FINDER, parent=1)]) == [
        (ROOT, "none"),
        (0, "times"),
    ]


def test_hand_offs_lead_down_and_back() -> None:
    calls = [
        call(0, BOSS, taker=FINDER),
        call(1, FINDER, giver=BOSS),
        call(2, FINDER, giver=BOSS),
        call(3, BOSS, giver=FINDER, taker=WRITER),
        call(4, WRITER),
    ]
    assert links(calls) == [
        (ROOT, "none"),
        (0, "handoff"),
        (0, "handoff"),
        (ROOT, "none"),
        (3, "handoff"),
    ]


def test_who_works_while_another_waits_for_its_tool_works_for_it() -> None:
    calls = [call(0, BOSS), call(1, FINDER), call(2, WRITER), call(3, BOSS)]
    result = ToolResultLink(calls[0].action_id, calls[3].action_id, "write")
    [_, first, second, last] = link_calls(calls, [result], call_times(calls))
    assert [(link.parent, link.tool) for link in (first, second)] == [(0, "write"), (0, "write")]
    assert last.parent == ROOT


def test_times_lead_from_what_ended_to_what_began() -> None:
    calls = [call(0, BOSS), call(1, FINDER), call(2, FINDER), call(3, BOSS), call(4, FINDER)]
    assert links(calls) == [
        (ROOT, "none"),
        (0, "times"),
        (0, "continues"),
        (ROOT, "none"),
        (3, "times"),
    ]


def test_parallel_calls_are_side_by_side() -> None:
    calls = [call(0, BOSS), *(call(1, f"r-{letter}", ms=5000) for letter in "abc")]
    calls = [one._replace(action_id=UUID(int=n + 1)) for n, one in enumerate(calls)]
    assert links(calls)[1:] == [(0, "times")] * 3


def test_another_try_stands_beside_the_try_before_it() -> None:
    calls = [call(0, BOSS), call(1, FINDER, parent=0), call(2, FINDER)]
    calls[2] = calls[2]._replace(retry_of=calls[1].action_id, attempt=2)
    assert links(calls)[2] == (0, "retry")


def test_five_of_one_name_are_folded_and_tell_what_they_hide() -> None:
    calls = [
        call(0, BOSS),
        *(call(n, FINDER, parent=0) for n in range(1, 6)),
        call(6, WRITER, parent=0),
    ]
    calls[3] = calls[3]._replace(outcome="upstream_error", cost_usd=None)
    calls[4] = calls[4]._replace(is_warned=True)
    rows = build_trace(calls, ()).rows
    assert rows.call == [0, FOLD, 1, 2, 3, 4, 5, 6]
    assert rows.n_folded == [0, 5, 0, 0, 0, 0, 0, 0]
    assert rows.depth == [0, 1, 2, 2, 2, 2, 2, 1]
    assert (rows.n_calls[1], rows.n_errors[1], rows.n_warned[1], rows.n_unpriced[1]) == (5, 1, 1, 1)
    assert rows.cost_usd[1] == Decimal("0.04")
    four = build_trace([*calls[:5], calls[6]], ()).rows
    assert FOLD not in four.call


def test_five_of_one_name_alone_stay_unfolded() -> None:
    """A single fold would hide everything."""
    alone = build_trace([call(n, BOSS, ms=5000) for n in range(6)], ()).rows
    assert alone.call == [0, 1, 2, 3, 4, 5]
    assert alone.n_folded == alone.depth == [0] * 6
    with_others = build_trace([*(call(n, BOSS, ms=9000) for n in range(5)), call(5, FINDER)], ())
    assert FOLD in with_others.rows.call
    below_one = build_trace([call(0, BOSS), *(call(n, FINDER, parent=0) for n in range(1, 6))], ())
    assert below_one.rows.call == [0, FOLD, 1, 2, 3, 4, 5]


def test_the_critical_path_goes_back_from_what_ended_last() -> None:
    #            0──5   5──────20   6──8   21──30
    begins, ends = [0.0, 5.0, 6.0, 21.0], [5.0, 20.0, 8.0, 30.0]
    assert critical_path(CallTimes(begins, ends)) == {0, 1, 3}


@given(sessions(), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=10))
def test_every_call_has_its_row_below_what_led_to_it(
    calls: list[SessionCall], pairs: list[tuple[int, int]]
) -> None:
    results = [ToolResultLink(UUID(int=a + 1), UUID(int=b + 1), "t") for a, b in pairs]
    found = build_trace(calls, results)
    rows = found.rows
    assert sorted(place for place in rows.call if place != FOLD) == list(range(len(calls)))
    assert all(link.parent < place for place, link in enumerate(found.links))
    for row, place in enumerate(rows.call):
        parent = rows.parent[row]
        assert rows.depth[row] == (0 if parent == ROOT else rows.depth[parent] + 1)
        assert parent < row
        inside = range(row + 1, row + rows.n_below[row] + 1)
        assert all(rows.depth[below] > rows.depth[row] for below in inside)
        own = [one for one in (row, *inside) if rows.call[one] != FOLD]
        assert rows.n_calls[row] == len(own)
        assert rows.cost_usd[row] == sum(calls[rows.call[one]].cost_usd or 0 for one in own)
        if place == FOLD:
            children = [one for one in inside if rows.parent[one] == row]
            assert len(children) >= MIN_FOLDED
            assert len({row_name(calls[rows.call[one]]) for one in children}) == 1
        else:
            above = parent if parent == ROOT or rows.call[parent] != FOLD else rows.parent[parent]
            assert found.links[place].parent == (ROOT if above == ROOT else rows.call[above])
