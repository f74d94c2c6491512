"""The handoffs of a session: when control passed from one agent to another.

Agents repeat their handoff headers on every call, so a handoff is counted when control changes, not
each time a header says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.analysis.lineage import GIVEN, ROOT, Link
from reports.queries.session_calls import SessionCall

# The explanation of each kind of edge that pages show.
WHY = {
    "header": "from handoff headers",
    "parent": "from a parent-action-id header",
    "tool": "from tool-call ids: the agent worked while the other waited for its tool",
    "times": "inferred from times: the agent started after the other ended",
}
INFERRED = ("times",)
_WHY_OF_EVIDENCE = {GIVEN: "parent", "tool": "tool", "times": "times"}


class Handoff(NamedTuple):
    source: str | None  # an agent's name; None stands for the calls without one
    target: str | None
    # The index of the target's first call after the handoff; None while it has made no call.
    at: int | None
    why: str = "header"


def find_handoffs(calls: Sequence[SessionCall], links: Sequence[Link]) -> list[Handoff]:
    """Returns the handoffs that the calls' headers declare.

    In a session without handoff headers, they are derived from which call led to which. `calls`
    are in time order.
    """
    return _declared_handoffs(calls) or _derived_handoffs(calls, links)


def _declared_handoffs(calls: Sequence[SessionCall]) -> list[Handoff]:
    found: list[Handoff] = []
    counted: dict[tuple[str, str], int] = {}  # the target's call at which it was last counted
    last_call: dict[str, int] = {}  # by agent
    announced: dict[str, dict[str, None]] = {}  # by target: sources, since the target's last call
    unnamed: tuple[str, str] | None = None  # what the previous call without an agent name declared

    def count(source: str, target: str, at: int) -> None:
        found.append(Handoff(source, target, at))
        counted[source, target] = at

    for index, call in enumerate(calls):
        agent, giver, taker = call.agent_name, call.handoff_from, call.handoff_to
        if agent is None:
            declared = (giver, taker) if giver and taker and giver != taker else None
            if declared and declared != unnamed:
                count(*declared, index)
            unnamed = declared
            continue
        for source in announced.pop(agent, ()):
            count(source, agent, index)
        if giver is not None and giver != agent:
            before = counted.get((giver, agent))
            if before is None or last_call.get(giver, -1) > before:
                count(giver, agent, index)
        if taker is not None and taker != agent:
            announced.setdefault(taker, {})[agent] = None
        last_call[agent] = index
    found += [
        Handoff(source, target, None)
        for target, sources in announced.items()
        for source in sources
        if (source, target) not in counted
    ]
    return found


def _derived_handoffs(calls: Sequence[SessionCall], links: Sequence[Link]) -> list[Handoff]:
    found = []
    seen: set[tuple[int, str | None]] = set()
    for index, link in enumerate(links):
        why = _WHY_OF_EVIDENCE.get(link.evidence)
        if why is None or link.parent == ROOT:
            continue
        source, target = calls[link.parent].agent_name, calls[index].agent_name
        if source != target and (link.parent, target) not in seen:
            seen.add((link.parent, target))
            found.append(Handoff(source, target, index, why))
    return found
