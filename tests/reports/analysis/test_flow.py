"""Who handed over to whom: the contract's rule, call by call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.analysis.flow import Graph, build_flow, sibling_groups
from reports.dashboard.flow_data import flow_json_data
from reports.queries.session_calls import SessionCall, ToolResultLink

BEGIN = datetime(2026, 4, 3, 12, tzinfo=UTC)


def call(
    number: int,
    agent: str | None,
    *,
    giver: str | None = None,
    taker: str | None = None,
    parent: int | None = None,
    ms: float = 500.0,
) -> SessionCall:
    """The call of second `number`, half a second long."""
    return SessionCall(
        UUID(int=number + 1),
        number,
        BEGIN + timedelta(seconds=number),
        agent_name=agent,
        handoff_from=giver,
        handoff_to=taker,
        parent_action_id=None if parent is None else UUID(int=parent + 1),
        latency_ms=ms,
        cost_usd=Decimal("0.01"),
    )


def calls_with(*said: tuple[str | None, str | None, str | None]) -> list[SessionCall]:
    """Calls by agent, handoff-from and handoff-to."""
    return [
        call(number, agent, giver=giver, taker=taker)
        for number, (agent, giver, taker) in enumerate(said)
    ]


def edges(graph: Graph) -> dict[tuple[str | None, str | None], int]:
    return {
        (graph.nodes[edge.source].name, graph.nodes[edge.target].name): edge.count
        for edge in graph.edges
    }


def by_agent(
    calls: Sequence[SessionCall], results: Sequence[ToolResultLink] = ()
) -> dict[tuple[str | None, str | None], int]:
    return edges(build_flow(calls, results).by_agent)


BOSS, FINDER, WRITER = "orchestrator", "researcher", "writer"


def test_an_agent_is_there_since_its_first_call_and_until_its_last() -> None:
    calls = [call(n, agent) for n, agent in enumerate((BOSS, FINDER, BOSS, FINDER, FINDER))]
    boss, finder = build_flow(calls, ()).by_agent.nodes
    assert (boss.name, boss.first, boss.last) == (BOSS, calls[0].timestamp, calls[2].timestamp)
    assert (finder.first, finder.last) == (calls[1].timestamp, calls[4].timestamp)
    data = flow_json_data(build_flow(calls, ()))
    assert [node["since"] for node in data["agents"]["nodes"]] == [
        calls[0].timestamp.isoformat(),
        calls[1].timestamp.isoformat(),
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(
            [(BOSS, None, None), (FINDER, BOSS, FINDER)],
            {(BOSS, FINDER): 1},
            id="equal ends make no edge",
        ),
        pytest.param(
            [(BOSS, None, FINDER), (FINDER, BOSS, None)],
            {(BOSS, FINDER): 1},
            id="told from both ends",
        ),
        pytest.param([(BOSS, None, FINDER)], {(BOSS, FINDER): 1}, id="one that is only named"),
        pytest.param([(FINDER, BOSS, None)], {(BOSS, FINDER): 1}, id="a giver that is only named"),
        pytest.param(
            [(BOSS, None, FINDER), (FINDER, None, None)],
            {(BOSS, FINDER): 1},
            id="the giver alone tells",
        ),
        pytest.param([(None, BOSS, FINDER)], {(BOSS, FINDER): 1}, id="without an agent's name"),
        pytest.param(
            [(None, BOSS, FINDER), (None, BOSS, FINDER)],
            {(BOSS, FINDER): 1},
            id="said twice, without a name",
        ),
        pytest.param([(None, BOSS, None)], {}, id="half of it, without a name"),
        pytest.param([(FINDER, FINDER, None), (FINDER, None, FINDER)], {}, id="to itself"),
        pytest.param(
            [(BOSS, None, None), (FINDER, BOSS, FINDER), (FINDER, BOSS, FINDER)],
            {(BOSS, FINDER): 1},
            id="said on each call",
        ),
        pytest.param(
            [
                (BOSS, None, FINDER),
                (FINDER, BOSS, FINDER),
                (BOSS, None, FINDER),
                (FINDER, BOSS, FINDER),
                (BOSS, None, FINDER),
            ],
            {(BOSS, FINDER): 2},
            id="each change of hand counts, one that nobody took up does not",
        ),
        pytest.param(
            [
                (BOSS, None, None),
                (FINDER, BOSS, FINDER),
                (BOSS, FINDER, None),
                (FINDER, BOSS, FINDER),
            ],
            {(BOSS, FINDER): 2, (FINDER, BOSS): 1},
            id="there and back",
        ),
        pytest.param(
            [(BOSS, None, WRITER), (FINDER, None, WRITER), (WRITER, None, None)],
            {(BOSS, WRITER): 1, (FINDER, WRITER): 1},
            id="two hand over to one",
        ),
        pytest.param(
            [(BOSS, None, None), (FINDER, BOSS, None), (WRITER, BOSS, None), (FINDER, BOSS, None)],
            {(BOSS, FINDER): 1, (BOSS, WRITER): 1},
            id="another's call between them changes nothing",
        ),
    ],
)
def test_an_edge_counts_changes_of_hand(
    said: list[tuple[str | None, str | None, str | None]], expected: dict[tuple[str, str], int]
) -> None:
    assert by_agent(calls_with(*said)) == expected


def test_one_that_is_only_named_has_no_calls() -> None:
    nodes = {
        node.name: node for node in build_flow(calls_with((BOSS, None, FINDER)), ()).by_agent.nodes
    }
    assert (nodes[BOSS].n_calls, nodes[FINDER].n_calls) == (1, 0)
    assert (nodes[FINDER].cost_usd, nodes[FINDER].latency_ms) == (None, None)


def test_without_hand_off_headers_edges_follow_from_what_led_to_what() -> None:
    given_ = [call(0, BOSS), call(1, FINDER, parent=0), call(2, FINDER, parent=0)]
    [edge] = build_flow(given_, ()).by_agent.edges
    assert (edge.why, edge.count) == ("parent", 1)
    by_times = [call(0, BOSS), call(1, FINDER), call(2, BOSS), call(3, FINDER)]
    found = build_flow(by_times, ()).by_agent
    assert edges(found) == {(BOSS, FINDER): 2} and found.edges[0].why == "times"
    results = [ToolResultLink(UUID(int=1), UUID(int=4), "research")]
    waiting = [call(0, BOSS), call(1, WRITER), call(2, FINDER), call(3, BOSS)]
    found = build_flow(waiting, results).by_agent
    assert edges(found) == {(BOSS, WRITER): 1, (BOSS, FINDER): 1} and {
        edge.why for edge in found.edges
    } == {"tool"}


def test_runs_begin_when_the_hand_passes() -> None:
    runs = build_flow(
        calls_with(
            (BOSS, None, FINDER),
            (FINDER, BOSS, FINDER),
            (FINDER, BOSS, FINDER),
            (BOSS, None, FINDER),
            (FINDER, BOSS, FINDER),
        ),
        (),
    ).by_run
    assert [(node.name, node.run, node.n_calls) for node in runs.nodes] == [
        (BOSS, 1, 2),
        (FINDER, 1, 2),
        (FINDER, 2, 1),
    ]
    assert edges(runs) == {(BOSS, FINDER): 1}
    assert [(edge.source, edge.target) for edge in runs.edges] == [(0, 1), (0, 2)]


def test_many_siblings_of_one_role_are_tied_together() -> None:
    said = [
        (BOSS, None, None),
        *((f"coder-{number}", BOSS, None) for number in range(12)),
        (FINDER, BOSS, None),
    ]
    graph = build_flow(calls_with(*said), ()).by_agent
    [group] = sibling_groups(graph)
    assert (group.role, len(group.members)) == ("coder", 12)
    assert sibling_groups(build_flow(calls_with(*said[:9]), ()).by_agent) == []


NAMES = st.sampled_from([None, "a", "b", "c", "d-1", "d-2"])


@st.composite
def sessions(draw: st.DrawFn) -> list[SessionCall]:
    said = draw(st.lists(st.tuples(NAMES, NAMES, NAMES, st.integers(0, 30)), max_size=30))
    return [
        call(
            number,
            agent,
            giver=giver,
            taker=taker,
            parent=parent if parent < 15 else None,
            ms=parent * 300.0,
        )
        for number, (agent, giver, taker, parent) in enumerate(said)
    ]


@given(sessions())
def test_every_call_is_in_one_node_and_every_edge_is_told(calls: list[SessionCall]) -> None:
    found = build_flow(calls, ())
    for graph in (found.by_agent, found.by_run):
        assert sum(node.n_calls for node in graph.nodes) == len(calls)
        assert sum(node.cost_usd or 0 for node in graph.nodes) == Decimal("0.01") * len(calls)
        assert all(edge.source != edge.target and edge.count > 0 for edge in graph.edges)
    wanted = {
        (one.handoff_from, one.agent_name or one.handoff_to) for one in calls if one.handoff_from
    } | {(one.agent_name, one.handoff_to) for one in calls if one.agent_name}
    wanted = {(source, target) for source, target in wanted if source != target}
    wanted = {pair for pair in wanted if None not in pair}
    if wanted:
        assert set(edges(found.by_agent)) == wanted
        assert {edge.why for edge in found.by_agent.edges} == {"header"}
        assert set(edges(found.by_run)) == wanted
    names = [node.name for node in found.by_agent.nodes]
    assert len(names) == len(set(names))
