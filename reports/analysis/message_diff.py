"""The difference between the messages of two calls.

Messages are compared by identity; the texts of messages that were changed line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from typing import Literal

from reports.analysis.message_view import view_message

MAX_COMPARED = 200_000  # characters of one message
# Comparing takes the square of the lines, or of the messages, where all of them differ.
MAX_LINES = 2_000
MAX_MESSAGES = 1_000
# Messages whose lines are compared.
MAX_CHANGED = 50
CONTEXT_LINES = 3


@dataclass(frozen=True, slots=True)
class DiffStep:
    """One step of a comparison of a call's messages with those of another call.

    `same`: messages `begin` to `end` are in both calls. `new`: the message at `begin` is not in the
    other call. `removed`: the other call has a message at this position that this call lacks.
    `changed`: the message at `begin` replaces one of the other call's; `diff` has the lines.
    """

    kind: Literal["same", "new", "removed", "changed"]
    begin: int  # an index into this call's messages
    end: int
    removed: bytes = b""  # the other call's message
    diff: tuple[str, ...] = ()


def diff_messages(messages: Sequence[bytes], other: Sequence[bytes]) -> list[DiffStep]:
    """Compares a call's `messages` with those of the `other` call, which was made before it."""
    steps: list[DiffStep] = []
    n_compared = 0
    for operation, other_begin, other_end, begin, end in _opcodes(other, messages):
        if operation == "equal":
            steps.append(DiffStep("same", begin, end))
            continue
        n_changed = min(other_end - other_begin, end - begin) if operation == "replace" else 0
        for i in range(n_changed):
            before = other[other_begin + i]
            n_compared += 1
            diff = _diff_lines(before, messages[begin + i]) if n_compared <= MAX_CHANGED else ()
            steps.append(DiffStep("changed", begin + i, begin + i + 1, before, diff))
        removed = other[other_begin + n_changed : other_end]
        steps += [DiffStep("removed", begin, begin, message) for message in removed]
        steps += [DiffStep("new", i, i + 1) for i in range(begin + n_changed, end)]
    return steps


def _opcodes(
    other: Sequence[bytes], messages: Sequence[bytes]
) -> list[tuple[str, int, int, int, int]]:
    """Returns the steps from `other` to `messages` as SequenceMatcher does. Of too many messages,
    those are the same that both begin with, and all others are replaced."""
    n_other, n = len(other), len(messages)
    if max(n_other, n) <= MAX_MESSAGES:
        return list(SequenceMatcher(None, other, messages, autojunk=False).get_opcodes())
    pairs = enumerate(zip(other, messages, strict=False))
    head = next((i for i, (one, new) in pairs if one != new), min(n_other, n))
    same = [("equal", 0, head, 0, head)] if head else []
    return [*same, ("replace", head, n_other, head, n)]


def _diff_lines(before: bytes, after: bytes) -> tuple[str, ...]:
    texts = (view_message(message).text[:MAX_COMPARED] for message in (before, after))
    old, new = (text.splitlines()[:MAX_LINES] for text in texts)
    lines = unified_diff(old, new, lineterm="", n=CONTEXT_LINES)
    return tuple(lines)[2:]  # the first two name files
