"""The graphs of the Flow page as JSON for its script."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from capture.models import Session
from reports.analysis.flow import Flow, Graph, Node, build_flow, sibling_groups
from reports.analysis.handoffs import INFERRED, WHY
from reports.output.formats import agent_colour, spell_out
from reports.queries.session_calls import read_session_calls, read_tool_results

# More runs than this make a picture that nobody can read and no browser can lay out.
MAX_RUNS = 2000
NO_NAME = "no agent name"
# No agent has this name: header values do not begin with a space.
NO_NAME_ID = " "


def read_flow(session: Session) -> Flow:
    return build_flow(read_session_calls(session), read_tool_results(session))


def flow_data(session: Session) -> dict[str, Any]:
    return flow_json_data(read_flow(session))


def flow_json_data(flow: Flow) -> dict[str, Any]:
    """Returns both graphs; `runs` is None when it has too many nodes to be drawn."""
    n_runs = len(flow.by_run.nodes)
    return {
        "agents": _graph(flow.by_agent),
        "runs": _graph(flow.by_run) if n_runs <= MAX_RUNS else None,
        "n_runs": n_runs,
        "why": WHY,
        "inferred": INFERRED,
    }


def _graph(graph: Graph) -> dict[str, Any]:
    return {
        "nodes": [_node(node) for node in graph.nodes],
        "edges": [[edge.source, edge.target, edge.count, edge.why] for edge in graph.edges],
        "groups": [
            {"role": spell_out(group.role), "members": group.members}
            for group in sibling_groups(graph)
        ],
    }


def _node(node: Node) -> dict[str, Any]:
    name = node.name
    run = "" if node.run is None else f"#{node.run}"
    return {
        "id": (NO_NAME_ID if name is None else name) + run,
        "agent": name,
        "label": node_label(name),
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


def node_label(name: str | None) -> str:
    return NO_NAME if name is None else spell_out(name)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
