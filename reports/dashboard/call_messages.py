"""The messages of a call's request as its page shows them, compared with another call's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from rest_framework.exceptions import ValidationError

from capture.models import Call
from reports.analysis.message_diff import DiffStep, diff_messages
from reports.analysis.message_view import (
    MessageBlock,
    MessageView,
    view_message,
)
from reports.analysis.transcript import SYSTEM_ROLES
from reports.queries import records
from reports.queries.call_list import ShortCall, short_calls
from reports.queries.records import Record

# System messages are looked for among so many at the beginning.
MAX_SYSTEM_MESSAGES = 3
# Messages that a page shows, of those that the other call has, and of all others.
MAX_SAME, MAX_SHOWN = 300, 500


def view_history(record: Record, view: str, compare_with: UUID | None) -> dict[str, Any]:
    """Returns the template's values for the request's messages.

    In the view `new` they are compared with the call `compare_with`, or with the same agent's
    previous call. Raises ValidationError when there is no call `compare_with`.
    """
    messages = record.messages
    prompt = record.prompt.text.data.decode(errors="replace") if record.prompt else None
    if any(
        view_message(message).role in SYSTEM_ROLES for message in messages[:MAX_SYSTEM_MESSAGES]
    ):
        prompt = None  # it is one of the messages
    # A request that could not be parsed has removed nothing.
    is_compared = view == "new" and (messages or compare_with)
    other = _call_to_compare(record, compare_with) if is_compared else None
    other_record = records.find_record(other["action_id"]) if other else None
    steps = diff_messages(messages, other_record.messages if other_record else [])
    return {
        "prompt": MessageView("system prompt", [MessageBlock("text", prompt)]) if prompt else None,
        "prompt_is_same": other_record is not None
        and record.row["prompt_ref"] == other_record.row["prompt_ref"],
        "other": other,
        "steps": list(_describe_steps(steps, messages)),
        "n_messages": len(messages),
    }


def _describe_steps(steps: Iterable[DiffStep], messages: list[bytes]) -> Iterator[dict[str, Any]]:
    """Yields steps until a page has enough messages, then one of the kind `left_out`."""
    room, room_of_same = MAX_SHOWN, MAX_SAME
    n_left_out = 0
    for step in steps:
        if step.kind == "same":
            yield _describe_step(step, messages[step.begin : step.end][:room_of_same])
            room_of_same = max(room_of_same - (step.end - step.begin), 0)
        elif room:
            yield _describe_step(step, messages[step.begin : step.end])
            room -= 1
        else:
            n_left_out += 1
    if n_left_out:
        yield {"kind": "left_out", "count": n_left_out}


def _describe_step(step: DiffStep, messages: list[bytes]) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "count": step.end - step.begin,
        "number": step.begin + 1,
        "messages": [view_message(message) for message in messages],
        "removed": view_message(step.removed) if step.kind == "removed" else None,
        "diff": [(line[:1], line[1:]) for line in step.diff],
    }


def _call_to_compare(record: Record, compare_with: UUID | None) -> ShortCall | None:
    if compare_with is not None:
        found = short_calls(Call.objects.not_deleted().filter(pk=compare_with))
        if not found:
            raise ValidationError({"cmp": ["the action_id of a recorded call"]})
        return found[0]
    row = record.row
    if row["session_id"] is None:
        return None
    siblings = Call.objects.in_session(row["scope"])
    same_agent = records.earlier_than(siblings, row).filter(agent_name=row["agent_name"])
    return next(iter(short_calls(same_agent.order_by("-timestamp", "-seq")[:1])), None)
