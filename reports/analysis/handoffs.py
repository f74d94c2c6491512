"""When the hand passed from one agent to another. Agents say so on every call: what counts is that
the hand changed, not how often it was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.analysis.lineage import GIVEN, ROOT, Link
from reports.queries.session_calls import SessionCall

# Why there is an edge, as a reader is told.
WHY = {
    "header": "told by hand-off headers",
    "parent": "told by a parent-action-id header",
    "tool": "by tool-call id: the agent worked while the other waited for its tool",
    "times": "inferred from times: the agent began when the other had ended",
}
INFERRED = ("times",)
_WHY_OF_EVIDENCE = {GIVEN: "parent", "tool": "tool", "times": "times"}


class Handoff(NamedTuple):
    source: str | None  # agents by name; None: the calls that name none
    target: str | None
    # The place of the target's first call after it; None while it has not called.
    at: int | None
    why: str = "header"


def handoffs(calls: Sequence[SessionCall], links: Sequence[Link]) -> list[Handoff]:
    """Those that the calls' hand-off headers tell; where none does, those that follow from which
    call led to which. `calls` are in time order."""
    return _told(calls) or _implied(calls, links)


def _told(calls: Sequence[SessionCall]) -> list[Handoff]:
    found: list[Handoff] = []
    counted: dict[tuple[str, str], int] = {}  # the target's call at which it was last counted
    last: dict[str, int] = {}  # each agent's last call
    announced: dict[str, dict[str, None]] = {}  # by target, since its last call
    unnamed: tuple[str, str] | None = None  # what the last call without a name said

    def count(source: str, target: str, at: int) -> None:
        found.append(Handoff(source, target, at))
        counted[source, target] = at

    for place, call in enumerate(calls):
        agent, giver, taker = call.agent_name, call.handoff_from, call.handoff_to
        if agent is None:
            said = (giver, taker) if giver and taker and giver != taker else None
            if said and said != unnamed:
                count(*said, place)
            unnamed = said
            continue
        for source in announced.pop(agent, ()):
            count(source, agent, place)
        if giver is not None and giver != agent:
            before = counted.get((giver, agent))
            if before is None or last.get(giver, -1) > before:
                count(giver, agent, place)
        if taker is not None and taker != agent:
            announced.setdefault(taker, {})[agent] = None
        last[agent] = place
    found += [
        Handoff(source, target, None)
        for target, sources in announced.items()
        for source in sources
        if (source, target) not in counted
    ]
    return found


def _implied(calls: Sequence[SessionCall], links: Sequence[Link]) -> list[Handoff]:
    found = []
    seen: set[tuple[int, str | None]] = set()
    for place, link in enumerate(links):
        why = _WHY_OF_EVIDENCE.get(link.evidence)
        if why is None or link.parent == ROOT:
            continue
        source, target = calls[link.parent].agent_name, calls[place].agent_name
        if source != target and (link.parent, target) not in seen:
            seen.add((link.parent, target))
            found.append(Handoff(source, target, place, why))
    return found
