"""Removes what readers deleted, in steps that are short enough for everyone else who writes.

What a step leaves behind is either all there and marked, or gone with a tombstone: a process may
end after any of them. Messages and binaries of a session go with it; those of a single call go
unless another call of its scope refers to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.db.models import F
from django.db.models.functions import Length

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row
from capture.ledger.compression import Encoding, unpack_text
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

# Of one step. SQLite's other writers wait for it: 20 ms were measured at 8 MB.
CALLS = 100
ROWS = 500
BYTES = 8 * 1024 * 1024
# Bodies that are looked through at once, for what they refer to.
READ_AT_ONCE = 200


def purge_step() -> bool:
    """One step. Whether there was anything to remove."""
    session = Session.objects.filter(deleted_at__isnull=False).order_by("deleted_at").first()
    if session is not None:
        _step_of_session(session)
        return True
    call = Call.objects.filter(deleted_at__isnull=False).order_by("deleted_at").first()
    if call is not None:
        _remove_call(call)
    return call is not None


def _step_of_session(session: Session) -> None:
    with transaction.atomic():
        Ledger.objects.select_for_update().get(pk=1)
        calls = Call.objects.filter(scope=session.pk).order_by("seq")[:CALLS]
        if some := _some(calls, lambda call: call.response_bytes + (call.request_bytes or 0)):
            _remove_calls(some, deleted_at=session.deleted_at)
        elif not (_remove_rows(Message, session) or _remove_rows(Binary, session)):
            values = SessionValue.objects.filter(session=session).values_list("pk", flat=True)
            if some_values := list(values[:ROWS]):
                SessionValue.objects.filter(pk__in=some_values).delete()
            else:
                bulk_sql.delete(Session, "id", [session.pk])


def _remove_rows(model: type[Message | Binary], session: Session) -> bool:
    found = model.objects.filter(scope=session.pk).annotate(size=Length("data"))
    some = _some(found.values_list("pk", "size")[:ROWS], lambda row: row[1] or 0)
    bulk_sql.delete(model, "id", [pk for pk, _ in some])
    return bool(some)


def _some(found: Iterable[Any], size_of: Callable[[Any], int]) -> list[Any]:
    """The first of them, at least one, as many as BYTES allows."""
    some: list[Any] = []
    size = 0
    for one in found:
        some.append(one)
        size += size_of(one)
        if size >= BYTES:
            break
    return some


def _remove_calls(calls: list[Call], *, deleted_at: Any) -> None:
    ids = [call.pk for call in calls]
    bulk_sql.insert(
        Tombstone,
        [
            {
                "action_id": call.pk,
                "seq": call.seq,
                "digest": call_digest(call.pk, call.request_sha256, call.response_sha256),
                "deleted_at": call.deleted_at or deleted_at,
            }
            for call in calls
        ],
    )
    for model in (ToolCall, PriceCorrection, CallBody):
        bulk_sql.delete(model, "call_id", ids)
    bulk_sql.delete(Call, "action_id", ids)


# --- one call of a scope that goes on ---


def _remove_call(call: Call) -> None:
    """What a call brought first is referred to by calls after it alone, so only these are looked
    through: in pages before the transaction, and within it those that came meanwhile."""
    left = _Left(call)
    last = left.follow(call.seq)
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        left.follow(last)
        left.find_binaries()
        left.write()
        _remove_calls([call], deleted_at=call.deleted_at)
        ledger.n_removals += 1
        ledger.save(update_fields=["n_removals"])


class _Left:
    """What a call brought to its scope, and which of the others refers to it now."""

    def __init__(self, call: Call) -> None:
        self.call = call
        refs = _refs(CallBody.objects.get(pk=call.pk))
        # None: nobody.
        self.messages: dict[int, UUID | None] = {}
        for some in _at_once(refs):
            brought = Message.objects.filter(pk__in=some, action_id=call.pk)
            self.messages.update(dict.fromkeys(brought.values_list("pk", flat=True)))
        binaries = Binary.objects.filter(scope=call.scope, action_id=call.pk)
        self.binaries: dict[bytes, UUID | None] = {
            bytes(digest): None for digest in binaries.values_list("digest", flat=True)
        }

    def follow(self, seq: int) -> int:
        """Look through the calls behind `seq`; the last one looked at."""
        while None in self.messages.values() or None in self.binaries.values():
            page = list(self._bodies().filter(call__seq__gt=seq)[:READ_AT_ONCE])
            if not page:
                break
            for body in page:
                seq = body.seq  # type: ignore[attr-defined]
                self._look_through(body)
        return seq

    def _bodies(self) -> models.QuerySet[CallBody]:
        """Without their texts, which are fetched one by one where they are needed."""
        bodies = CallBody.objects.filter(call__scope=self.call.scope).order_by("call__seq")
        narrow = bodies.only("part_refs", "prompt_ref", "frame_encoding", "response_encoding")
        return narrow.annotate(seq=F("call__seq"))

    def _look_through(self, body: CallBody) -> None:
        for ref in _refs(body):
            if self.messages.get(ref, body.pk) is None:
                self.messages[ref] = body.pk
        if self.binaries and body.frame_encoding in _REFERRING:
            self._find(body.frame, body.frame_encoding, body.pk)
        if self.binaries and body.response_encoding in _REFERRING:
            self._find(body.response, body.response_encoding, body.pk)

    def find_binaries(self) -> None:
        """Those that messages refer to, which stay with another call."""
        if None not in self.binaries.values():
            return
        messages = Message.objects.filter(scope=self.call.scope, encoding__in=_REFERRING)
        for message in messages.iterator(READ_AT_ONCE):
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
        heirs = {row["action_id"] for row in taken_over}
        for some in bulk_sql.chunks(sorted(heirs)):
            seqs = Call.objects.filter(pk__in=some).values_list("seq", flat=True)
            bulk_sql.insert(TakenOver, [{"call_seq": seq} for seq in seqs])
        binaries = Binary.objects.filter(scope=self.call.scope)
        for digest_, user in self.binaries.items():
            if user is None:
                binaries.filter(digest=digest_).delete()
            else:
                binaries.filter(digest=digest_).update(action_id=user)


_REFERRING = [encoding for encoding in range(8) if encoding & Encoding.REFERRING]


def _refs(body: CallBody) -> list[int]:
    refs = unpack_refs(body.part_refs)
    return refs if body.prompt_ref is None else [*refs, body.prompt_ref]


def _at_once(refs: list[int]) -> Iterable[list[int]]:
    for start in range(0, len(refs), ROWS):
        yield refs[start : start + ROWS]
