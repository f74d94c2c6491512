"""The graphs of Flow as its page's script takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from capture.models import Session
from reports.analysis.flow import Flow, Graph, Node, flow, ties
from reports.analysis.handoffs import INFERRED, WHY
from reports.dashboard.formats import agent_colour, spelled_out
from reports.queries.session_calls import calls_of, tool_results_of

# Runs beyond this number are no picture that anybody reads, or any browser lays out.
MAX_RUNS = 2000
NO_NAME = "no agent name"
# No agent is called so: header values begin with no space.
NO_NAME_ID = " "


def flow_of(session: Session) -> Flow:
    return flow(calls_of(session), tool_results_of(session))


def flow_data(session: Session) -> dict[str, Any]:
    return data_of(flow_of(session))


def data_of(found: Flow) -> dict[str, Any]:
    n_runs = len(found.by_run.nodes)
    return {
        "agents": _graph(found.by_agent),
        "runs": _graph(found.by_run) if n_runs <= MAX_RUNS else None,
        "n_runs": n_runs,
        "why": WHY,
        "inferred": INFERRED,
    }


def _graph(graph: Graph) -> dict[str, Any]:
    return {
        "nodes": [_node(node) for node in graph.nodes],
        "edges": [[edge.source, edge.target, edge.count, edge.why] for edge in graph.edges],
        "ties": [{"role": spelled_out(tie.role), "members": tie.members} for tie in ties(graph)],
    }


def _node(node: Node) -> dict[str, Any]:
    name = node.name
    run = "" if node.run is None else f"#{node.run}"
    return {
        "id": (NO_NAME_ID if name is None else name) + run,
        "agent": name,
        "label": label_of(name),
        "run": node.run,
        "colour": agent_colour(name),
        "calls": node.n_calls,
        "errors": node.n_errors,
        "refused": node.n_refused,
        "warned": node.n_warned,
        "unpriced": node.n_unpriced,
        "estimated": node.n_estimated,
        "cost": None if node.cost_usd is None else float(node.cost_usd),
        "ms": node.latency_ms,
        "in": node.tokens_in,
        "out": node.tokens_out,
        "since": _iso(node.first),
        "until": _iso(node.last),
    }


def label_of(name: str | None) -> str:
    return NO_NAME if name is None else spelled_out(name)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
