"""The lineage of calls: which call led to which.

A call that names its parent is believed. For the others the parent is inferred from handoffs, tool
results and timing, in this order, and the kind of evidence is recorded with the link.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from reports.queries.session_calls import SessionCall, ToolResultLink

ROOT = -1
# How many ancestors, and how many tools that are waited for, are examined for one call.
MAX_STEPS = 100

# The explanation of each kind of evidence that pages show; `{parent}` is the parent's agent and
# `{tool}` the tool.
EVIDENCE = {
    "none": "nothing indicates what led to it",
    "given": "set by its parent-action-id header",
    "handoff": "inferred from a handoff by {parent}",
    "tool": "inferred from a tool result: {parent} was waiting for its tool {tool}",
    "times": "inferred from times: it started after {parent} ended",
    "continues": "inferred: the agent continues below its previous parent",
    "retry": "retry of the previous attempt",
}
GIVEN = "given"


class Link(NamedTuple):
    """`parent` is the index of the call that led to this one, or ROOT."""

    parent: int = ROOT
    evidence: str = "none"
    tool: str | None = None


class CallTimes(NamedTuple):
    """The begin and end of each call, in milliseconds since the session's first call."""

    begin: list[float]
    end: list[float]


_MS = timedelta(milliseconds=1)


def call_times(calls: Sequence[SessionCall]) -> CallTimes:
    first = calls[0].timestamp if calls else None
    begin = [(call.timestamp - first) / _MS for call in calls] if first else []
    end = [at + (call.latency_ms or 0.0) for at, call in zip(begin, calls, strict=True)]
    return CallTimes(begin, end)


def link_calls(
    calls: Sequence[SessionCall], tool_results: Sequence[ToolResultLink], times: CallTimes
) -> list[Link]:
    """Returns one link per call. `calls` are in time order; a parent comes before its children."""
    return _Linker(calls, tool_results, times).links


class _ToolWait(NamedTuple):
    """The time in which the agent of the call `caller` waits for a tool it has called."""

    begin: float
    end: float
    caller: int
    tool: str | None


class _Linker:
    """Walks through the calls in time order. A call is identified by its index."""

    def __init__(
        self, calls: Sequence[SessionCall], tool_results: Sequence[ToolResultLink], times: CallTimes
    ) -> None:
        self.calls = calls
        self.begin, self.end = times
        self.index_of = {call.action_id: index for index, call in enumerate(calls)}
        self.links: list[Link] = []
        # Sorted so that the next wait to begin is the last one.
        self.future_waits = sorted(self._tool_waits(tool_results), reverse=True)
        self.current_waits: list[_ToolWait] = []
        self.running: list[tuple[float, int]] = []
        # By agent: the call that began last, and the call that ended last.
        self.latest_begun: dict[str | None, int] = {}
        self.latest_ended: dict[str | None, int] = {}
        self.last_ended: int | None = None
        # By agent: the latest call that announced a handoff to it.
        self.announced_by: dict[str, int] = {}
        for index, call in enumerate(calls):
            self._advance_to(self.begin[index])
            self.links.append(self._link(index, call))
            self.latest_begun[call.agent_name] = index
            if call.handoff_to is not None and call.handoff_to != call.agent_name:
                self.announced_by[call.handoff_to] = index
            heapq.heappush(self.running, (self.end[index], index))

    def _tool_waits(self, tool_results: Sequence[ToolResultLink]) -> list[_ToolWait]:
        waits = []
        for result in tool_results:
            caller = self.index_of.get(result.call_id)
            receiver = self.index_of.get(result.result_call_id)
            if caller is not None and receiver is not None and caller < receiver:
                waits.append(_ToolWait(self.end[caller], self.begin[receiver], caller, result.name))
        return waits

    def _advance_to(self, now: float) -> None:
        while self.running and self.running[0][0] <= now:
            _, index = heapq.heappop(self.running)
            self.last_ended = index
            self.latest_ended[self.calls[index].agent_name] = index
        while self.future_waits and self.future_waits[-1].begin <= now:
            self.current_waits.append(self.future_waits.pop())
        while self.current_waits and self.current_waits[-1].end < now:
            self.current_waits.pop()

    def _link(self, index: int, call: SessionCall) -> Link:
        return (
            self._link_by_header(index, call)
            or self._link_by_retry(index, call)
            or self._link_by_handoff(call)
            or self._link_by_tool(index, call)
            or self._link_by_times(call)
        )

    def _link_by_header(self, index: int, call: SessionCall) -> Link | None:
        if call.parent_action_id is None:
            return None
        parent = self.index_of.get(call.parent_action_id, index)
        return Link(parent, GIVEN) if parent < index else None

    def _link_by_retry(self, index: int, call: SessionCall) -> Link | None:
        previous = self.index_of.get(call.retry_of, index) if call.retry_of else index
        return self.links[previous]._replace(evidence="retry") if previous < index else None

    def _link_by_handoff(self, call: SessionCall) -> Link | None:
        agent = call.agent_name
        giver = call.handoff_from
        candidates = []
        if giver is not None and giver != agent:
            candidates.append(self.latest_ended.get(giver, self.latest_begun.get(giver)))
        if agent is not None:
            candidates.append(self.announced_by.get(agent))
        parents = [parent for parent in candidates if parent is not None]
        return self._link_below(max(parents), agent, "handoff") if parents else None

    def _link_by_tool(self, index: int, call: SessionCall) -> Link | None:
        now = self.begin[index]
        for wait in self.current_waits[: -MAX_STEPS - 1 : -1]:
            agent = self.calls[wait.caller].agent_name
            if wait.end >= now and agent != call.agent_name:
                if self._nearest_call_of(call.agent_name, wait.caller) is not None:
                    return None
                return Link(wait.caller, "tool", wait.tool)
        return None

    def _link_by_times(self, call: SessionCall) -> Link:
        previous = self.latest_begun.get(call.agent_name)
        if previous is None:
            return Link() if self.last_ended is None else Link(self.last_ended, "times")
        parent = self.links[previous].parent
        if parent == ROOT:
            return Link()
        newer = self.latest_ended.get(self.calls[parent].agent_name, parent)
        if newer > parent and self.end[newer] >= self.begin[previous]:
            return self._link_below(newer, call.agent_name, "times")
        return Link(parent, "continues")

    def _link_below(self, parent: int, agent: str | None, evidence: str) -> Link:
        """Links to `parent`, unless the agent itself is among its ancestors.

        In that case the agent returns to its former level: the call continues beside its own
        earlier one.
        """
        own = self._nearest_call_of(agent, parent)
        if own is None:
            return Link(parent, evidence)
        above = self.links[own].parent
        return Link() if above == ROOT else Link(above, "continues")

    def _nearest_call_of(self, agent: str | None, index: int) -> int | None:
        """Returns the nearest call of the agent among `index` and its ancestors."""
        for _ in range(MAX_STEPS):
            if index == ROOT:
                return None
            if self.calls[index].agent_name == agent:
                return index
            index = self.links[index].parent
        return None
