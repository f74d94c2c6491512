"""Tombstones: what is left of deleted calls, recorded or not.

A call that was running, or waited in the spool, when its session was deleted is not recorded: it
leaves nothing but a tombstone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from capture.evidence.leaf import Kind, indices_digest
from capture.ledger import bulk_sql
from capture.ledger.log.append import Log
from capture.models import DeletedSession, Tombstone
from capture.parsing.parsed_call import ParsedCall


def find_deleted(calls: Sequence[ParsedCall]) -> dict[UUID, datetime]:
    """Returns, of calls that are to be recorded, those that began before their session was deleted,
    and when it was.

    A call whose proxy knew of the deletion came after it, whatever the clocks say. Another one came
    before it, or within the second in which its proxy learned of a deletion elsewhere.
    """
    digests = {
        call.action_id: session_digest(session_id)
        for call in calls
        if (session_id := call.ledger_field("session_id"))
    }
    found = DeletedSession.objects.filter(digest__in=set(digests.values()))
    rows = found.values_list("digest", "number", "deleted_at")
    deletions = {digest: (number, at) for digest, number, at in rows}
    deleted_at = {}
    for call in calls:
        number, at = deletions.get(digests.get(call.action_id, ""), (0, call.timestamp))
        n_known = call.request.n_deletions if call.request else 0
        if n_known < number and call.timestamp <= at:
            deleted_at[call.action_id] = at
    return deleted_at


def insert_tombstones(
    calls: Sequence[ParsedCall], deleted_at: dict[UUID, datetime], log: Log
) -> None:
    """Leaves a tombstone of each of `calls` that is in `deleted_at`, and says in the log how many
    there were."""
    if not deleted_at:
        return
    index = log.add(
        Kind.DELETION,
        {"session": None, "count": 0, "indices": indices_digest(()), "unrecorded": len(deleted_at)},
    )
    bulk_sql.insert(
        Tombstone,
        [
            {
                "action_id": call.action_id,
                "seq": None,
                "digest": call_digest(call.action_id, call.request_sha256, call.response_sha256),
                "deleted_at": deleted_at[call.action_id],
                "log_index": None,
                "deletion_index": index,
            }
            for call in calls
            if call.action_id in deleted_at
        ],
    )


def call_digest(action_id: UUID, request_sha256: str | None, response_sha256: str) -> str:
    """Returns the SHA-256 of these three as text, one a line: whoever has a copy of the call can
    prove that it was this one."""
    lines = f"{action_id}\n{request_sha256 or ''}\n{response_sha256}"
    return hashlib.sha256(lines.encode()).hexdigest()


def session_digest(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
