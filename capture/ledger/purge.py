"""Purges what was deleted, in steps that are short enough not to hold up other writers.

After each step a call is either complete and marked as deleted, or gone and replaced by a
tombstone, so the process may end after any step. Messages and binaries of a session are removed
with it; those of a single call are removed unless another call of its scope refers to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Length

from capture.evidence.leaf import SALT_SIZE, Kind, Value, commit, indices_digest
from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, chunks
from capture.ledger.compression import Encoding, unpack_text
from capture.ledger.log.append import Log
from capture.ledger.message_refs import unpack_refs
from capture.ledger.tombstones import call_digest
from capture.models import (
    Binary,
    Call,
    CallBody,
    Ledger,
    Message,
    PriceCorrection,
    Session,
    SessionValue,
    TakenOver,
    Tombstone,
    ToolCall,
)

# The bounds of one step. SQLite's other writers wait for it: 20 ms were measured at 8 MB.
MAX_CALLS = 100
MAX_ROWS = 500
MAX_BYTES = 8 * 1024 * 1024
# Bodies that are searched for references at once.
PAGE = 200


def purge_step() -> bool:
    """Runs one step. Returns whether there was anything to purge."""
    session = Session.objects.filter(deleted_at__isnull=False).order_by("deleted_at").first()
    if session is not None:
        _purge_session(session)
        return True
    call = Call.objects.filter(deleted_at__isnull=False).order_by("deleted_at").first()
    if call is not None:
        _purge_call(call)
    return call is not None


def _purge_session(session: Session) -> None:
    if session.deletion_index is None:
        _log_deletion(session)
        return
    with transaction.atomic():
        Ledger.objects.select_for_update().get(pk=1)
        calls = Call.objects.filter(scope=session.pk).order_by("seq")[:MAX_CALLS]
        if some := _take_bounded(calls, _body_bytes):
            _remove_calls(some, session.deletion_index, deleted_at=session.deleted_at)
        elif not (_remove_rows(Message, session) or _remove_rows(Binary, session)):
            values = SessionValue.objects.filter(session=session).values_list("pk", flat=True)
            if some_values := list(values[:MAX_ROWS]):
                SessionValue.objects.filter(pk__in=some_values).delete()
            else:
                bulk_sql.delete(Session, "id", [session.pk])


def _log_deletion(session: Session) -> None:
    """Says in the log which calls are removed, before the first of them is."""
    # No more come: calls that began before the deletion are not recorded, later ones are of another
    # session of that name.
    calls = Call.objects.filter(scope=session.pk, log_index__isnull=False).order_by("seq")
    indices = [index for index in calls.values_list("log_index", flat=True) if index is not None]
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        log = Log(ledger)
        index = _add_deletion(log, session.session_id, indices)
        Session.objects.filter(pk=session.pk).update(deletion_index=index)
        log.write()
        ledger.save()


def _add_deletion(log: Log, session_id: str | None, indices: list[int]) -> int:
    salt = os.urandom(SALT_SIZE) if session_id is not None else None
    facts: dict[str, Value] = {
        "session": commit(salt, session_id) if salt and session_id is not None else None,
        "count": len(indices),
        "indices": indices_digest(indices),
        "unrecorded": 0,
    }
    return log.add(Kind.DELETION, facts, salt=salt)


def _remove_rows(model: type[Message | Binary], session: Session) -> bool:
    found = model.objects.filter(scope=session.pk).annotate(size=Length("data"))
    some = _take_bounded(found.values_list("pk", "size")[:MAX_ROWS], lambda row: row[1] or 0)
    bulk_sql.delete(model, "id", [pk for pk, _ in some])
    return bool(some)


def _body_bytes(call: Call) -> int:
    return call.response_bytes + (call.request_bytes or 0)


def _take_bounded(found: Iterable[Any], size_of: Callable[[Any], int]) -> list[Any]:
    """Returns the first ones, at least one, up to MAX_BYTES in all."""
    some: list[Any] = []
    size = 0
    for one in found:
        some.append(one)
        size += size_of(one)
        if size >= MAX_BYTES:
            break
    return some


def _remove_calls(calls: list[Call], deletion_index: int | None, *, deleted_at: Any) -> None:
    ids = [call.pk for call in calls]
    bulk_sql.insert(
        Tombstone,
        [
            {
                "action_id": call.pk,
                "seq": call.seq,
                "digest": call_digest(call.pk, call.request_sha256, call.response_sha256),
                "deleted_at": call.deleted_at or deleted_at,
                "log_index": call.log_index,
                "deletion_index": deletion_index,
            }
            for call in calls
        ],
    )
    for model in (ToolCall, PriceCorrection, CallBody):
        bulk_sql.delete(model, "call_id", ids)
    bulk_sql.delete(Call, "action_id", ids)


# --- a single call, whose scope has other calls ---


def _purge_call(call: Call) -> None:
    """Only calls after this one can refer to what it was the first to bring, so only these are
    searched: in pages before the transaction, and within it those that were added meanwhile."""
    heirs = Heirs(call)
    last = heirs.follow(call.seq)
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        heirs.follow(last)
        heirs.find_binaries()
        heirs.write()
        log = Log(ledger)
        indices = [] if call.log_index is None else [call.log_index]
        session_id = call.session.session_id if call.session else None
        _remove_calls([call], _add_deletion(log, session_id, indices), deleted_at=call.deleted_at)
        log.write()
        ledger.n_removals += 1
        ledger.save()


class Heirs:
    """The parts and binaries that a call was the first to bring, each with the earliest of the
    other calls that refers to it, which inherits it. None: no call inherits it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        refs = _refs_of(CallBody.objects.get(pk=call.pk))
        self.messages: dict[int, UUID | None] = {}
        for some in chunks(refs):
            brought = Message.objects.filter(pk__in=some, action_id=call.pk)
            self.messages.update(dict.fromkeys(brought.values_list("pk", flat=True)))
        binaries = Binary.objects.filter(scope=call.scope, action_id=call.pk)
        self.binaries: dict[bytes, UUID | None] = {
            bytes(digest): None for digest in binaries.values_list("digest", flat=True)
        }

    def follow(self, seq: int) -> int:
        """Searches the calls after `seq`. Returns the seq of the last one."""
        while None in self.messages.values() or None in self.binaries.values():
            page = list(self._bodies().filter(call__seq__gt=seq)[:PAGE])
            if not page:
                break
            for body in page:
                seq = body.seq  # type: ignore[attr-defined]  # the annotation of `_bodies`
                self._search(body)
        return seq

    def _bodies(self) -> models.QuerySet[CallBody]:
        """Returns the bodies without their texts, each of which is fetched if it is needed."""
        of_scope = CallBody.objects.filter(call__scope=self.call.scope)
        bodies = of_scope.exclude(_ERASED).order_by("call__seq")
        narrow = bodies.only("part_refs", "prompt_ref", "frame_encoding", "response_encoding")
        return narrow.annotate(seq=F("call__seq"))

    def _search(self, body: CallBody) -> None:
        for ref in _refs_of(body):
            if self.messages.get(ref, body.pk) is None:
                self.messages[ref] = body.pk
        if self.binaries and body.frame_encoding in _REFERRING:
            self._find(body.frame, body.frame_encoding, body.pk)
        if self.binaries and body.response_encoding in _REFERRING:
            self._find(body.response, body.response_encoding, body.pk)

    def find_binaries(self) -> None:
        """Searches the messages that remain for references to the binaries."""
        if None not in self.binaries.values():
            return
        messages = Message.objects.filter(scope=self.call.scope, encoding__in=_REFERRING)
        for message in messages.iterator(PAGE):
            user = self.messages.get(message.pk, message.action_id)
            if user is not None:
                self._find(message.data, message.encoding, user)

    def _find(self, data: bytes | memoryview | None, encoding: int, user: UUID) -> None:
        for reference in unpack_text(data, encoding).references if data is not None else ():
            if self.binaries.get(reference.digest, user) is None:
                self.binaries[reference.digest] = user

    def write(self) -> None:
        bulk_sql.delete(Message, "id", [pk for pk, user in self.messages.items() if user is None])
        taken_over: list[Row] = [
            {"id": pk, "action_id": user} for pk, user in self.messages.items() if user is not None
        ]
        bulk_sql.update(Message, taken_over, key="id")
        new_owners = {row["action_id"] for row in taken_over}
        for some in chunks(sorted(new_owners)):
            seqs = Call.objects.filter(pk__in=some).values_list("seq", flat=True)
            bulk_sql.insert(TakenOver, [{"call_seq": seq} for seq in seqs])
        binaries = Binary.objects.filter(scope=self.call.scope)
        for digest, user in self.binaries.items():
            if user is None:
                binaries.filter(digest=digest).delete()
            else:
                binaries.filter(digest=digest).update(action_id=user)


_ERASED = Q(part_refs=b"", frame=None, response=b"")
_REFERRING = [encoding for encoding in range(16) if encoding & Encoding.REFERRING]


def _refs_of(body: CallBody) -> list[int]:
    refs = unpack_refs(body.part_refs)
    return refs if body.prompt_ref is None else [*refs, body.prompt_ref]
