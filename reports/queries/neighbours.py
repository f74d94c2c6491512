"""What surrounds a call: where it came from, what followed, and what of its messages was new."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db.models import QuerySet

from capture.ledger.bulk_sql import at_once
from capture.ledger.compression import unpack_refs
from capture.models import Call, CallBody, Message
from reports.queries import records
from reports.queries.records import Record

MAX_CHILDREN = 1000


def around(record: Record) -> dict[str, Any]:
    row = record.row
    session_id = row["session_id"]
    siblings = Call.objects.none()
    if session_id is not None:
        # The scope of a session's calls is the session's own id.
        siblings = Call.objects.filter(session=row["scope"], deleted_at=None)
    earlier = records.before(siblings, row).order_by("-timestamp", "-seq")
    later = records.behind(siblings, row).order_by("timestamp", "seq")
    children = Call.objects.not_deleted().filter(parent_action_id=row["action_id"])
    parent = Call.objects.not_deleted().filter(pk=row["parent_action_id"])
    return {
        "links": {
            "session": f"/session/{quote(session_id, safe='')}" if session_id else None,
            "parent": _link(parent),
            "previous": _link(earlier),
            "next": _link(later),
            "children": _links(children.order_by("timestamp", "seq")[:MAX_CHILDREN]),
        },
        "new_messages_from": _new_messages_from(record, earlier),
    }


def _link(calls: QuerySet[Call]) -> str | None:
    return next(iter(_links(calls[:1])), None)


def _links(calls: QuerySet[Call]) -> list[str]:
    return [f"/explain/{action_id}" for action_id in calls.values_list("pk", flat=True)]


def _new_messages_from(record: Record, earlier: QuerySet[Call]) -> int | None:
    """The index of the first message that the same agent's previous call in the session had not
    sent at this place; None for a call without messages."""
    mine = _message_refs(record.row["part_refs"])
    if not mine:
        return None
    same_agent = earlier.filter(agent_name=record.row["agent_name"])
    previous: UUID | None = same_agent.values_list("pk", flat=True).first()
    if previous is None:
        return 0
    theirs = _message_refs(CallBody.objects.values_list("part_refs", flat=True).get(pk=previous))
    n_same = 0
    for one, other in zip(mine, theirs, strict=False):
        if one != other:
            break
        n_same += 1
    return n_same


def _message_refs(part_refs: bytes | memoryview) -> list[int]:
    refs = unpack_refs(part_refs)
    messages: set[int] = set()
    for some in at_once(refs):
        found = Message.objects.filter(pk__in=some, kind="message")
        messages.update(found.values_list("pk", flat=True))
    return [ref for ref in refs if ref in messages]
