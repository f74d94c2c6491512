"""What of a call's history is new since another call: its messages are compared by identity, the
texts of those that were changed line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from typing import Literal

from reports.analysis.message_view import turn_of

MOST_COMPARED = 200_000  # characters of one message
# Lines around a change.
CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Step:
    """`same`: messages `begin` to `end` of this call are those of the other; `new`: the message at
    `begin` is new; `removed`: the other call had a message here that this one has not; `changed`:
    the message at `begin` is another, `diff` says how."""

    kind: Literal["same", "new", "removed", "changed"]
    begin: int  # among this call's messages
    end: int
    removed: bytes = b""  # the other call's message
    diff: tuple[str, ...] = ()


def compared(mine: Sequence[bytes], theirs: Sequence[bytes]) -> list[Step]:
    steps: list[Step] = []
    matcher = SequenceMatcher(None, theirs, mine, autojunk=False)
    for what, a, b, begin, end in matcher.get_opcodes():
        if what == "equal":
            steps.append(Step("same", begin, end))
            continue
        n_changed = min(b - a, end - begin) if what == "replace" else 0
        for i in range(n_changed):
            diff = _diff(theirs[a + i], mine[begin + i])
            steps.append(Step("changed", begin + i, begin + i + 1, theirs[a + i], diff))
        steps += [Step("removed", begin, begin, message) for message in theirs[a + n_changed : b]]
        steps += [Step("new", i, i + 1) for i in range(begin + n_changed, end)]
    return steps


def _diff(theirs: bytes, mine: bytes) -> tuple[str, ...]:
    before, after = (turn_of(message).text[:MOST_COMPARED] for message in (theirs, mine))
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT)
    return tuple(lines)[2:]  # without the names of files
