"""Deletion of sessions and calls: it marks them, after which no reader sees them.

The recorder later removes what is marked: capture.ledger.purge. Calls that were running when their
session was deleted are not recorded: capture.ledger.tombstones.
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from access import audit
from access.actors import Actor
from capture.deletion_count import deletion_count
from capture.exchange import Outcome
from capture.ledger.sessions import LISTS, MAX_TOTAL, session_names
from capture.ledger.tombstones import session_digest
from capture.models import (
    Call,
    CallBody,
    DeletedSession,
    Ledger,
    Session,
    SessionValue,
    ToolCall,
)
from capture.spool.folder import Folder
from capture.wire.registry import FREE_FORMATS

_NO_RESULT = {"result": None, "result_is_error": None, "result_action_id": None}


def delete_session(actor: Actor, session_id: str) -> bool:
    """Returns whether there was a session of this name."""
    with transaction.atomic():
        # Recorders hold this lock for each batch, so later batches see the deletion.
        ledger = Ledger.objects.select_for_update().get(pk=1)
        at = deletion_count.after_all_calls(now())
        found = Session.objects.not_deleted().filter(session_id=session_id)
        _take_results_back(found)
        was_there = found.update(deleted_at=at) > 0
        if was_there:
            ledger.n_deletions += 1
            ledger.save(update_fields=["n_deletions"])
            DeletedSession.objects.update_or_create(
                digest=session_digest(session_id),
                defaults={"number": ledger.n_deletions, "deleted_at": at},
            )
            audit.record(actor, "session.delete", session_id)
    if was_there:
        deletion_count.known = ledger.n_deletions
        _wake_recorder()
    return was_there


def _take_results_back(sessions: QuerySet[Session]) -> None:
    """Results that calls of these sessions brought are theirs, wherever their tool call is."""
    for pk in sessions.values_list("pk", flat=True):
        calls = Call.objects.filter(session=pk).values("pk")
        elsewhere = ToolCall.objects.filter(result_action_id__in=calls).exclude(scope=pk)
        elsewhere.update(**_NO_RESULT)


def delete_call(actor: Actor, action_id: UUID) -> bool:
    """Returns whether there was such a call. It no longer counts in its session's totals; a session
    that has no other call is deleted with it."""
    with transaction.atomic():
        Ledger.objects.select_for_update().get(pk=1)
        found = Call.objects.not_deleted().filter(pk=action_id)
        call = found.select_related("session").first()
        if call is None:
            return False
        Call.objects.filter(pk=action_id).update(deleted_at=now())
        # Results of an earlier call's tools came in the request of this call.
        ToolCall.objects.filter(result_action_id=action_id).update(**_NO_RESULT)
        if call.session is not None:
            _subtract_from_session(call.session, call)
        audit.record(actor, "call.delete", str(action_id))
    _wake_recorder()
    return True


def _subtract_from_session(session: Session, call: Call) -> None:
    left = Call.objects.in_session(session.pk)
    in_time = left.order_by("timestamp", "seq").values_list("timestamp", flat=True)
    first, last = in_time.first(), in_time.last()
    if first is None or last is None:
        Session.objects.filter(pk=session.pk).update(deleted_at=now())
        return
    session.started_at, session.last_call_at = first, last
    n_calls = _n_calls(call)
    session.call_count -= n_calls
    session.refused_count -= n_calls if call.outcome == Outcome.REFUSED else 0
    session.error_count -= call.outcome not in (Outcome.COMPLETED, Outcome.REFUSED)
    for name in MAX_TOTAL:
        value = getattr(call, name)
        known = left.exclude(**{name: None})
        if name.startswith("tokens_"):
            if call.wire_format in FREE_FORMATS:
                continue
            known = known.exclude(wire_format__in=FREE_FORMATS)
        if value is not None:
            total = getattr(session, f"total_{name}") - value if known.exists() else None
            setattr(session, f"total_{name}", total)
    for name, field in LISTS.items():
        value = getattr(call, name)
        if value is not None and not left.filter(**{name: value}).exists():
            getattr(session, field).remove(value)
            SessionValue.objects.filter(session=session, name=name, value=value).delete()
    session.names = session_names(session)
    session.revision += 1
    session.save()


def _n_calls(call: Call) -> int:
    refusal = CallBody.objects.filter(pk=call.pk).values_list("refusal", flat=True).get()
    n_calls: int = refusal["n_calls"] if refusal else 1
    return n_calls


def _wake_recorder() -> None:
    Folder(settings.AGENTLEDGER.spool_path).ring_doorbell()


def has_unpurged() -> bool:
    """Returns whether anything that was deleted is still to be removed by the recorder."""
    marked = {"deleted_at__isnull": False}
    return Session.objects.filter(**marked).exists() or Call.objects.filter(**marked).exists()
