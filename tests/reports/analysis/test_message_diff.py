"""What is new in a call's messages, compared with those of the call before it."""

from __future__ import annotations

import json

from reports.analysis.message_diff import DiffStep, diff_messages


def message(role: str, content: str) -> bytes:
    return json.dumps({"role": role, "content": content}).encode()


OK = message("user", "ok")


def test_messages_that_repeat_in_a_long_history_are_found_again() -> None:
    """From 200 elements on, difflib by itself no longer looks for what occurs often: of an agent
    that is told "ok" again and again, all messages would be shown as changed."""
    before, after = (
        [message("system", "then"), *[OK] * 200],
        [message("system", "now"), *[OK] * 201],
    )
    changed, *rest = diff_messages(after, before)
    assert (changed.kind, changed.begin, changed.end) == ("changed", 0, 1)
    assert rest == [DiffStep("same", 1, 201), DiffStep("new", 201, 202)]


def test_a_changed_message_is_compared_line_by_line() -> None:
    first, old, new = (message("user", text) for text in ("hello", "a\nb\nc", "a\nB\nc"))
    [same, changed, added] = diff_messages([first, new, OK], [first, old])
    assert (same, added) == (DiffStep("same", 0, 1), DiffStep("new", 2, 3))
    assert (changed.kind, changed.begin, changed.end, changed.removed) == ("changed", 1, 2, old)
    assert [line for line in changed.diff if line[0] in "+-"] == ["-b", "+B"]


def test_removed_messages_stand_where_they_were() -> None:
    one, two, three = (message("user", text) for text in ("one", "two", "three"))
    assert diff_messages([one, three], [one, two, three]) == [
        DiffStep("same", 0, 1),
        DiffStep("removed", 1, 1, two),
        DiffStep("same", 1, 2),
    ]
