"""A session's agents as a graph, with one node per agent or one node per run of an agent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reports.analysis.handoffs import Handoff, find_handoffs
from reports.analysis.lineage import call_times, link_calls
from reports.queries.session_calls import SessionCall, ToolResultLink

# More siblings of one role than this are drawn as one node.
MAX_SIBLINGS = 8
_NUMBER = re.compile(r"[\s_.:#-]*\d+$")


@dataclass(slots=True)
class Node:
    """Totals over the calls of an agent, or of one of its runs.

    A total is None as long as no call has a value for it.
    """

    name: str | None
    run: int | None = None  # counted from 1; None: all calls of the agent
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
        """The name without a trailing number: `coder` for `coder-12`."""
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
    """A connection between two nodes, given by their indexes."""

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


def build_flow(calls: Sequence[SessionCall], tool_results: Sequence[ToolResultLink]) -> Flow:
    """Builds both graphs of a session. `calls` are in time order."""
    links = link_calls(calls, tool_results, call_times(calls))
    handoffs = find_handoffs(calls, links)
    return Flow(_graph_by_agent(calls, handoffs), _graph_by_run(calls, handoffs))


def _graph_by_agent(calls: Sequence[SessionCall], handoffs: Sequence[Handoff]) -> Graph:
    nodes: dict[str | None, Node] = {}
    for call in calls:
        name = call.agent_name
        if name not in nodes:
            nodes[name] = Node(name)
        nodes[name].add(call)
    for name in _names_in_handoffs(calls, handoffs):
        nodes.setdefault(name, Node(name))
    indexes = {name: index for index, name in enumerate(nodes)}
    edges: dict[tuple[str | None, str | None], Edge] = {}
    for handoff in handoffs:
        source, target = handoff.source, handoff.target
        edge = edges.setdefault(
            (source, target), Edge(indexes[source], indexes[target], handoff.why)
        )
        edge.count += 1
    return Graph(list(nodes.values()), list(edges.values()))


def _names_in_handoffs(calls: Sequence[SessionCall], handoffs: Sequence[Handoff]) -> Iterator[str]:
    """Yields agents that handoffs name; some of them may have made no call."""
    for handoff in handoffs:
        yield from (name for name in (handoff.source, handoff.target) if name is not None)
    for call in calls:
        yield from (name for name in (call.handoff_from, call.handoff_to) if name is not None)


def _graph_by_run(calls: Sequence[SessionCall], handoffs: Sequence[Handoff]) -> Graph:
    """A run of an agent begins with a handoff to it and lasts until the next one."""
    handoffs_at: dict[int, list[Handoff]] = {}
    for handoff in handoffs:
        if handoff.at is not None:
            handoffs_at.setdefault(handoff.at, []).append(handoff)
    nodes: list[Node] = []
    edges: list[Edge] = []
    current: dict[str | None, int] = {}
    n_runs: dict[str | None, int] = {}

    def begin(name: str | None) -> int:
        n_runs[name] = n_runs.get(name, 0) + 1
        nodes.append(Node(name, n_runs[name]))
        current[name] = len(nodes) - 1
        return current[name]

    for index, call in enumerate(calls):
        name = call.agent_name
        arriving = handoffs_at.get(index, ())
        for handoff in arriving:
            if handoff.source not in current:
                begin(handoff.source)
            if handoff.target != name:  # a call without a name declared a handoff between others
                source = current[handoff.source]
                edges.append(Edge(source, begin(handoff.target), handoff.why, 1))
        own = [handoff for handoff in arriving if handoff.target == name]
        if own or name not in current:
            run = begin(name)
            edges += [Edge(current[handoff.source], run, handoff.why, 1) for handoff in own]
        nodes[current[name]].add(call)
    for handoff in handoffs:
        if handoff.at is None:
            name = handoff.source
            source = current[name] if name in current else begin(name)
            edges.append(Edge(source, begin(handoff.target), handoff.why, 1))
    return Graph(nodes, edges)


@dataclass(frozen=True, slots=True)
class SiblingGroup:
    """Siblings of one role, which are drawn as one node; `members` are indexes of nodes."""

    role: str
    members: list[int]


def sibling_groups(graph: Graph, max_siblings: int = MAX_SIBLINGS) -> list[SiblingGroup]:
    """Returns the groups of more than `max_siblings` nodes with the same role and the same
    predecessors."""
    sources: dict[int, set[int]] = {}
    for edge in graph.edges:
        sources.setdefault(edge.target, set()).add(edge.source)
    found: dict[tuple[str, frozenset[int]], list[int]] = {}
    for index, node in enumerate(graph.nodes):
        if index in sources:
            found.setdefault((node.role, frozenset(sources[index])), []).append(index)
    return [
        SiblingGroup(role, members)
        for (role, _), members in found.items()
        if len(members) > max_siblings
    ]
