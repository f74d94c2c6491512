"""Which call led to which. Where a call names its parent, that one; else what hand-offs, tool
results and times tell, in this order, with the reason kept."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from reports.queries.session_calls import SessionCall, ToolResult

ROOT = -1
# How far ancestors, and tools that are waited for, are looked through for one call.
FAR = 100

# What a reader is told of a connector; `{parent}` is the agent of the parent, `{tool}` the tool.
EVIDENCE = {
    "none": "nothing tells what led to it",
    "given": "given by its parent-action-id header",
    "handoff": "inferred from a hand-off: {parent} handed over",
    "tool": "inferred from a tool result: {parent} waited for its tool {tool}",
    "times": "inferred from times: it began when {parent} had ended",
    "continues": "inferred: the agent goes on below the call that it worked for before",
    "retry": "another try of the call before it",
}
GIVEN = "given"


class Link(NamedTuple):
    """`parent` is the place of the call that led to this one, or ROOT."""

    parent: int = ROOT
    evidence: str = "none"
    tool: str | None = None


class Times(NamedTuple):
    """Milliseconds since the session's first call, by place."""

    begin: list[float]
    end: list[float]


_MS = timedelta(milliseconds=1)


def times_of(calls: Sequence[SessionCall]) -> Times:
    first = calls[0].timestamp if calls else None
    begin = [(call.timestamp - first) / _MS for call in calls] if first else []
    end = [at + (call.latency_ms or 0.0) for at, call in zip(begin, calls, strict=True)]
    return Times(begin, end)


def lineage(
    calls: Sequence[SessionCall], tool_results: Sequence[ToolResult], times: Times
) -> list[Link]:
    """Of each call, which are in time order. A parent's place is before its children's."""
    return _Lineage(calls, tool_results, times).links


class _Wait(NamedTuple):
    """An agent waits for a tool from the end of one of its calls on."""

    begin: float
    end: float
    caller: int
    tool: str | None


class _Lineage:
    def __init__(
        self, calls: Sequence[SessionCall], tool_results: Sequence[ToolResult], times: Times
    ) -> None:
        self.calls = calls
        self.begin, self.end = times
        self.place = {call.action_id: place for place, call in enumerate(calls)}
        self.links: list[Link] = []
        self.waits = sorted(self._waits(tool_results), reverse=True)  # the first to come is last
        self.waiting: list[_Wait] = []
        self.running: list[tuple[float, int]] = []
        # Of each agent: its call that began last, and the one that ended last by now.
        self.begun: dict[str | None, int] = {}
        self.ended: dict[str | None, int] = {}
        self.last_ended: int | None = None
        # Of each agent: the call that said last that it hands over to it.
        self.told: dict[str, int] = {}
        for place, call in enumerate(calls):
            self._until(self.begin[place])
            self.links.append(self._link(place, call))
            self.begun[call.agent_name] = place
            if call.handoff_to is not None and call.handoff_to != call.agent_name:
                self.told[call.handoff_to] = place
            heapq.heappush(self.running, (self.end[place], place))

    def _waits(self, tool_results: Sequence[ToolResult]) -> list[_Wait]:
        waits = []
        for result in tool_results:
            asked = self.place.get(result.asked_by)
            brought = self.place.get(result.brought_by)
            if asked is not None and brought is not None and asked < brought:
                waits.append(_Wait(self.end[asked], self.begin[brought], asked, result.name))
        return waits

    def _until(self, now: float) -> None:
        while self.running and self.running[0][0] <= now:
            _, place = heapq.heappop(self.running)
            self.last_ended = place
            self.ended[self.calls[place].agent_name] = place
        while self.waits and self.waits[-1].begin <= now:
            self.waiting.append(self.waits.pop())
        while self.waiting and self.waiting[-1].end < now:
            self.waiting.pop()

    def _link(self, place: int, call: SessionCall) -> Link:
        return (
            self._given(place, call)
            or self._retry(place, call)
            or self._handoff(call)
            or self._tool(place, call)
            or self._times(place, call)
        )

    def _given(self, place: int, call: SessionCall) -> Link | None:
        if call.parent_action_id is None:
            return None
        parent = self.place.get(call.parent_action_id, place)
        return Link(parent, GIVEN) if parent < place else None

    def _retry(self, place: int, call: SessionCall) -> Link | None:
        before = self.place.get(call.retry_of, place) if call.retry_of else place
        return self.links[before]._replace(evidence="retry") if before < place else None

    def _handoff(self, call: SessionCall) -> Link | None:
        agent = call.agent_name
        giver = call.handoff_from
        found = []
        if giver is not None and giver != agent:
            found.append(self.ended.get(giver, self.begun.get(giver)))
        if agent is not None:
            found.append(self.told.get(agent))
        parents = [parent for parent in found if parent is not None]
        return self._below(max(parents), agent, "handoff") if parents else None

    def _tool(self, place: int, call: SessionCall) -> Link | None:
        now = self.begin[place]
        for wait in self.waiting[: -FAR - 1 : -1]:
            agent = self.calls[wait.caller].agent_name
            if wait.end >= now and agent != call.agent_name:
                if self._ancestor(wait.caller, call.agent_name) is not None:
                    return None
                return Link(wait.caller, "tool", wait.tool)
        return None

    def _times(self, place: int, call: SessionCall) -> Link:
        before = self.begun.get(call.agent_name)
        if before is None:
            return Link() if self.last_ended is None else Link(self.last_ended, "times")
        parent = self.links[before].parent
        if parent == ROOT:
            return Link()
        newer = self.ended.get(self.calls[parent].agent_name, parent)
        if newer > parent and self.end[newer] >= self.begin[before]:
            return self._below(newer, call.agent_name, "times")
        return Link(parent, "continues")

    def _below(self, parent: int, agent: str | None, evidence: str) -> Link:
        """Below that call, unless the agent comes back to where it was: it called one above it."""
        own = self._ancestor(parent, agent)
        if own is None:
            return Link(parent, evidence)
        above = self.links[own].parent
        return Link() if above == ROOT else Link(above, "continues")

    def _ancestor(self, place: int, agent: str | None) -> int | None:
        """The nearest call of this agent on the way up from this place, itself included."""
        for _ in range(FAR):
            if place == ROOT:
                return None
            if self.calls[place].agent_name == agent:
                return place
            place = self.links[place].parent
        return None
