"""A session's agents as a graph: by agent, or with a node for each time that one had the hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reports.analysis.handoffs import Handoff, handoffs
from reports.analysis.lineage import lineage, times_of
from reports.queries.session_calls import SessionCall, ToolResult

# Siblings of one role, beyond which they are drawn as one node.
MAX_SIBLINGS = 8
_NUMBER = re.compile(r"[\s_.:#-]*\d+$")


@dataclass(slots=True)
class Node:
    """The calls of an agent, or of one of its runs. Sums are None while no call has a number."""

    name: str | None
    run: int | None = None  # from 1; None: all its calls
    n_calls: int = 0
    n_errors: int = 0
    n_refused: int = 0
    n_warned: int = 0
    n_unpriced: int = 0
    n_estimated: int = 0
    cost_usd: Decimal | None = None
    latency_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    first: datetime | None = None
    last: datetime | None = None

    @property
    def role(self) -> str:
        """`coder` of `coder-12`."""
        name = self.name or ""
        return _NUMBER.sub("", name) or name

    def add(self, call: SessionCall) -> None:
        self.n_calls += 1
        self.n_errors += call.is_error
        self.n_refused += call.is_refused
        self.n_warned += call.is_warned
        self.n_unpriced += call.cost_usd is None
        self.n_estimated += call.usage_source == "estimated"
        if call.cost_usd is not None:
            self.cost_usd = (self.cost_usd or Decimal(0)) + call.cost_usd
        if call.latency_ms is not None:
            self.latency_ms = (self.latency_ms or 0.0) + call.latency_ms
        if call.tokens_in is not None:
            self.tokens_in = (self.tokens_in or 0) + call.tokens_in
        if call.tokens_out is not None:
            self.tokens_out = (self.tokens_out or 0) + call.tokens_out
        self.first = self.first or call.timestamp
        self.last = call.timestamp


@dataclass(slots=True)
class Edge:
    """From node to node, by their places among the nodes."""

    source: int
    target: int
    why: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: list[Node]
    edges: list[Edge]


@dataclass(frozen=True, slots=True)
class Flow:
    by_agent: Graph
    by_run: Graph


def flow(calls: Sequence[SessionCall], tool_results: Sequence[ToolResult]) -> Flow:
    """`calls` are in time order."""
    passed = handoffs(calls, lineage(calls, tool_results, times_of(calls)))
    return Flow(by_agent(calls, passed), by_run(calls, passed))


def by_agent(calls: Sequence[SessionCall], passed: Sequence[Handoff]) -> Graph:
    nodes: dict[str | None, Node] = {}
    for call in calls:
        name = call.agent_name
        if name not in nodes:
            nodes[name] = Node(name)
        nodes[name].add(call)
    for name in _named_only(calls, passed):
        nodes.setdefault(name, Node(name))
    places = {name: place for place, name in enumerate(nodes)}
    edges: dict[tuple[str | None, str | None], Edge] = {}
    for one in passed:
        edge = edges.setdefault(
            (one.source, one.target), Edge(places[one.source], places[one.target], one.why)
        )
        edge.count += 1
    return Graph(list(nodes.values()), list(edges.values()))


def _named_only(calls: Sequence[SessionCall], passed: Sequence[Handoff]) -> Iterator[str]:
    for one in passed:
        yield from (name for name in (one.source, one.target) if name is not None)
    for call in calls:
        yield from (name for name in (call.handoff_from, call.handoff_to) if name is not None)


def by_run(calls: Sequence[SessionCall], passed: Sequence[Handoff]) -> Graph:
    """An agent's run begins when the hand passes to it, and goes on until it does so again."""
    begins: dict[int, list[Handoff]] = {}
    for one in passed:
        if one.at is not None:
            begins.setdefault(one.at, []).append(one)
    nodes: list[Node] = []
    edges: list[Edge] = []
    current: dict[str | None, int] = {}
    n_runs: dict[str | None, int] = {}

    def begin(name: str | None) -> int:
        n_runs[name] = n_runs.get(name, 0) + 1
        nodes.append(Node(name, n_runs[name]))
        current[name] = len(nodes) - 1
        return current[name]

    for place, call in enumerate(calls):
        name = call.agent_name
        sources = begins.get(place, ())
        for one in sources:
            if one.source not in current:
                begin(one.source)
            if one.target != name:  # a call without a name told of two others
                edges.append(Edge(current[one.source], begin(one.target), one.why, 1))
        own = [one for one in sources if one.target == name]
        if own or name not in current:
            run = begin(name)
            edges += [Edge(current[one.source], run, one.why, 1) for one in own]
        nodes[current[name]].add(call)
    for one in passed:
        if one.at is None:
            source = current[one.source] if one.source in current else begin(one.source)
            edges.append(Edge(source, begin(one.target), one.why, 1))
    return Graph(nodes, edges)


@dataclass(frozen=True, slots=True)
class Tie:
    """Nodes that are drawn as one: siblings of one role."""

    role: str
    members: list[int]


def ties(graph: Graph, max_siblings: int = MAX_SIBLINGS) -> list[Tie]:
    """Nodes with the same neighbours before them, and the same role, where they are too many."""
    before: dict[int, set[int]] = {}
    for edge in graph.edges:
        before.setdefault(edge.target, set()).add(edge.source)
    found: dict[tuple[str, frozenset[int]], list[int]] = {}
    for place, node in enumerate(graph.nodes):
        if place in before:
            found.setdefault((node.role, frozenset(before[place])), []).append(place)
    return [
        Tie(role, members) for (role, _), members in found.items() if len(members) > max_siblings
    ]
