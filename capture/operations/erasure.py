"""Erasure of texts of calls, which stay on record: their figures, and their places in the log.

The log has commitments to texts; erasing one keeps its commitment and throws its salt away, so that
the log stays valid and nobody can tell what the text was. Digests without a salt are erased, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.timezone import now

from access import audit
from access.actors import Actor
from capture.evidence.leaf import SALT_SIZE, Kind, Value, erase, unpack_secret
from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row
from capture.ledger.log.append import Log
from capture.ledger.log.records import CALL_COLUMNS, TOOL_CALL_COLUMNS, texts_of
from capture.ledger.purge import Heirs
from capture.ledger.rollup_sums import COUNTED
from capture.ledger.rollups import RollupKeyMemory, Rollups
from capture.ledger.sessions import session_names
from capture.models import (
    Call,
    CallBody,
    Ledger,
    RollupKey,
    Session,
    SessionValue,
    Spend,
    TakenOver,
    Tombstone,
    ToolCall,
)
from capture.spool import quarantine
from capture.spool.folder import Folder

# What can be erased; those in DEFAULT are unless others are named.
FIELDS = (
    *("error_detail", "handoff_from", "handoff_to", "path"),
    *("request", "response", "texts", "user_id"),
)
DEFAULT = ("error_detail", "request", "response", "texts")
# Of one step, for which other writers wait.
AT_ONCE = 20

_NO_RESULT = {"result": None, "result_is_error": None, "result_action_id": None}
_NO_REQUEST = {
    **{"part_refs": b"", "prompt_ref": None, "frame": None, "frame_is_whole": False},
    **{"frame_encoding": 0, "request_params": None, "tool_results": None},
}
_NO_RESPONSE = {"response": b"", "response_encoding": 0}
_NO_TEXTS = {"content": None, "reasoning": None, "choices": None}
NOTE = "erased:"


@dataclass(frozen=True, slots=True)
class Selection:
    """The calls of which texts are erased: those that meet all that is given."""

    session_id: str | None = None
    user_id: str | None = None
    before: datetime | None = None

    def calls(self) -> QuerySet[Call]:
        found = Call.objects.not_deleted()
        if self.session_id is not None:
            found = found.filter(session__session_id=self.session_id)
        if self.user_id is not None:
            found = found.filter(user_id=self.user_id)
        if self.before is not None:
            found = found.filter(timestamp__lt=self.before)
        return found

    def __str__(self) -> str:
        before = self.before.isoformat() if self.before else None
        given = (("session", self.session_id), ("user", self.user_id), ("before", before))
        return ", ".join(f"{name} {value}" for name, value in given if value is not None)


def erase_texts(actor: Actor, selection: Selection, fields: Sequence[str]) -> Iterator[int]:
    """Erases in small steps, the latest calls first. Yields how many calls each step has read."""
    audit.record(actor, "call.erase", str(selection), fields=list(fields))
    calls = selection.calls().order_by("-seq")
    last = Ledger.objects.values_list("last_seq", flat=True).get(pk=1) + 1
    while page := list(calls.filter(seq__lt=last)[:AT_ONCE]):
        # Later calls, which refer to messages of earlier ones, come first: so no message passes
        # from call to call.
        for call in page:
            _erase_call(call, fields)
        last = page[-1].seq
        yield len(page)
    if selection.before is not None and {"request", "response"} & set(fields):
        Tombstone.objects.filter(deleted_at__lt=selection.before).update(digest="")
    if selection.user_id is not None and "user_id" in fields:
        _forget_user(selection.user_id)


def _erase_call(call: Call, fields: Sequence[str]) -> None:
    heirs = Heirs(call) if "request" in fields else None
    if heirs is not None and "response" not in fields:
        heirs.binaries = {}  # the response may have them, too
    last = heirs.follow(call.seq) if heirs else 0
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        body = CallBody.objects.filter(pk=call.pk).first()
        if body is None:  # deleted meanwhile
            return
        row = {name: getattr(call, name) for name in (*CALL_COLUMNS, *COUNTED)}
        erased = _erase_secret(call, row, body, fields)
        if not erased:
            return
        log = Log(ledger)
        if call.log_index is not None:
            facts: dict[str, Value] = {"index": call.log_index, "fields": ",".join(erased)}
            log.add(Kind.ERASURE, facts, about=call.pk)
        if heirs is not None and "request" in erased:
            heirs.follow(last)
            heirs.find_binaries()
            heirs.write()
            ledger.n_removals += 1
        _blank(call, body, erased)
        if "user_id" in erased:
            _move_sums(ledger, row, _n_calls(body))
            if call.session_id is not None:
                _take_user_from_session(call.session_id, row["user_id"])
        log.write()
        ledger.save()
        if call.session_id is not None:
            Session.objects.filter(pk=call.session_id).update(revision=F("revision") + 1)
        bulk_sql.insert(TakenOver, [{"call_seq": call.seq}])  # it is indexed again
    quarantine.remove(Folder(settings.AGENTLEDGER.spool_path), call.pk)


def _n_calls(body: CallBody) -> int:
    n_calls: int = body.refusal["n_calls"] if body.refusal else 1
    return n_calls


def _erase_secret(call: Call, row: Row, body: CallBody, fields: Sequence[str]) -> list[str]:
    """Replaces the secret of a call. Returns the texts that were there, which are to be erased."""
    tool_calls = ToolCall.objects.filter(call=call).order_by("position")
    session_id = call.session.session_id if call.session else None
    texts = texts_of(row, _columns(body), tool_calls.values(*TOOL_CALL_COLUMNS), session_id)
    secret = bytes(body.log_secret) if body.log_secret is not None else os.urandom(SALT_SIZE)
    kept = unpack_secret(secret)
    erased = [
        name
        for name in sorted(fields)
        if texts[name] is not None and not isinstance(kept[name], str)
    ]
    body.log_secret = erase(secret, texts, erased)
    return erased


def _columns(body: CallBody) -> dict[str, Any]:
    return {"content": body.content, "reasoning": body.reasoning}


def _blank(call: Call, body: CallBody, erased: Sequence[str]) -> None:
    of_call: dict[str, Any] = {
        name: None
        for name in ("error_detail", "handoff_from", "handoff_to", "user_id")
        if name in erased
    }
    of_body: dict[str, Any] = {"log_secret": body.log_secret}
    heads = dict(body.heads)
    if "path" in erased:
        of_call["path"] = ""
        heads["target"] = None
    if "request" in erased:
        of_call |= {"request_sha256": None, "preview": None}
        of_body |= _NO_REQUEST
        heads["request"] = None
        ToolCall.objects.filter(result_action_id=call.pk).update(**_NO_RESULT)
    if "response" in erased:
        of_call["response_sha256"] = ""
        of_body |= _NO_RESPONSE
    if "texts" in erased:
        of_body |= _NO_TEXTS
        ToolCall.objects.filter(call=call).update(arguments="", **_NO_RESULT)
    notes = [note for note in body.notes or () if not note.startswith(NOTE)]
    before = [note.removeprefix(NOTE) for note in body.notes or () if note.startswith(NOTE)]
    names = sorted({*erased, *(name.strip() for one in before for name in one.split(","))})
    of_body |= {"notes": [*notes, f"{NOTE} {', '.join(names)}"], "heads": heads}
    Call.objects.filter(pk=call.pk).update(**of_call)
    CallBody.objects.filter(pk=call.pk).update(**of_body)


# --- users: their names are in lists and sums, too ---


def _move_sums(ledger: Ledger, row: Row, n_calls: int) -> None:
    """Counts a call among those without a user."""
    rollups = Rollups(ledger, RollupKeyMemory())
    rollups.take_out(row, n_calls)
    rollups.count({**row, "user_id": None}, n_calls)
    rollups.write()


def _take_user_from_session(pk: int, user_id: str) -> None:
    if Call.objects.in_session(pk).filter(user_id=user_id).exists():
        return
    session = Session.objects.get(pk=pk)
    if user_id in session.users:
        session.users.remove(user_id)
        session.names = session_names(session)
        session.save(update_fields=["users", "names"])
    SessionValue.objects.filter(session=pk, name="user_id", value=user_id).delete()


def _forget_user(user_id: str) -> None:
    """Erases the name from sums that are left, of deleted calls and of budgets of earlier days."""
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        if Call.objects.filter(user_id=user_id).exists():
            return
        for key in RollupKey.objects.filter(user_id=user_id):
            RollupKey.objects.filter(pk=key.pk).update(user_id=None, digest=os.urandom(16))
        Spend.objects.filter(budget="user", key=user_id, day__lt=now().date()).delete()
        ledger.n_removals += 1  # recorders forget the keys' ids
        ledger.save()
