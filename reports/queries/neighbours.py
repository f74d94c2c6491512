"""The calls around a call, and which of its messages the same agent had not sent before."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from capture.ledger.bulk_sql import chunks
from capture.ledger.message_refs import unpack_refs
from capture.models import Call, CallBody, Message
from reports.queries import records
from reports.queries.records import Record

MAX_CHILDREN = 1000


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The action ids of the calls around a call; None and an empty list where there are none."""

    parent: UUID | None  # only if it is in the ledger
    previous: UUID | None  # in the session, by time
    next: UUID | None
    children: list[UUID]  # the oldest `MAX_CHILDREN`
    new_messages_from: int | None  # None: the call has no messages


def find_neighbours(record: Record) -> Neighbours:
    row = record.row
    siblings = Call.objects.none()
    if row["session_id"] is not None:
        # The scope of a session's calls is the session's own id.
        siblings = Call.objects.in_session(row["scope"])
    earlier = records.earlier_than(siblings, row).order_by("-timestamp", "-seq")
    later = records.later_than(siblings, row).order_by("timestamp", "seq")
    children = Call.objects.not_deleted().filter(parent_action_id=row["action_id"])
    parent = Call.objects.not_deleted().filter(pk=row["parent_action_id"])
    return Neighbours(
        parent=_first_id(parent),
        previous=_first_id(earlier),
        next=_first_id(later),
        children=_ids(children.order_by("timestamp", "seq")[:MAX_CHILDREN]),
        new_messages_from=_new_messages_from(record, earlier),
    )


def _first_id(calls: QuerySet[Call]) -> UUID | None:
    return next(iter(_ids(calls[:1])), None)


def _ids(calls: QuerySet[Call]) -> list[UUID]:
    return list(calls.values_list("pk", flat=True))


def _new_messages_from(record: Record, earlier: QuerySet[Call]) -> int | None:
    """Returns the index of the first message that the same agent's previous call in the session had
    not sent at this index; None for a call without messages."""
    refs = _message_refs(record.row["part_refs"])
    if not refs:
        return None
    same_agent = earlier.filter(agent_name=record.row["agent_name"])
    previous: UUID | None = same_agent.values_list("pk", flat=True).first()
    if previous is None:
        return 0
    part_refs = CallBody.objects.values_list("part_refs", flat=True).get(pk=previous)
    n_same = 0
    for ref, previous_ref in zip(refs, _message_refs(part_refs), strict=False):
        if ref != previous_ref:
            break
        n_same += 1
    return n_same


def _message_refs(part_refs: bytes | memoryview) -> list[int]:
    refs = unpack_refs(part_refs)
    messages: set[int] = set()
    for batch in chunks(refs):
        found = Message.objects.filter(pk__in=batch, kind="message")
        messages.update(found.values_list("pk", flat=True))
    return [ref for ref in refs if ref in messages]
