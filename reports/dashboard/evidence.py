"""The page on evidence: checkpoints, anchors, deletions, corrections, and what the last
verification found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from access.actors import actor_of
from access.models import AuditEntry
from access.roles import Role
from capture.evidence.leaf import Kind, commit, moment
from capture.ledger.log.read import facts_of, log_size
from capture.models import LogEntry, Session, Tombstone
from reports.dashboard.errors import page
from reports.evidence import key
from reports.models import Anchor, Checkpoint
from reports.verification import history
from reports.verification.some_calls import newest_signed

SHOWN = 50
# Deletions are matched with so many of the audit log's last ones.
SEARCHED = 1000


@page
def evidence(request: HttpRequest) -> HttpResponse:
    last, under_way = history.last_finished(), history.under_way()
    in_force = key.in_force()
    context = {
        "verification": _verification(last),
        "under_way": under_way.state if under_way else None,
        "size": log_size(),
        "key": in_force.verifier_key if in_force else None,
        "signed": newest_signed(),
        "checkpoints": Checkpoint.objects.order_by("-size")[:SHOWN],
        "anchors": Anchor.objects.order_by("name"),
        "deletions": _deletions(may_know_who=actor_of(request).may(Role.ADMIN)),
        "corrections": _entries(Kind.CORRECTION),
        "erasures": _entries(Kind.ERASURE),
    }
    return render(request, "dashboard/evidence.html", context)


def _verification(row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"row": row, **row.state, "findings": row.state["findings"]["told"]}


def _entries(kind: Kind) -> list[dict[str, Any]]:
    found = LogEntry.objects.filter(kind=kind).order_by("-index")[:SHOWN]
    return [_facts(one) for one in found]


def _facts(entry: LogEntry) -> dict[str, Any]:
    facts = facts_of(entry)
    changed = [
        {"name": name[4:], "old": value, "new": facts.get(f"new_{name[4:]}")}
        for name, value in facts.items()
        if name.startswith("old_")
    ]
    return {
        **facts,
        "at": moment(facts["at"]),
        "entry": entry,
        "entry_index": entry.index,
        "changed": changed,
    }


def _deletions(*, may_know_who: bool) -> list[dict[str, Any]]:
    deletions = _entries(Kind.DELETION)
    if may_know_who:
        _tell_who(deletions)
    pending = Session.objects.exclude(deletion_index=None).values_list("deletion_index", flat=True)
    under_way = set(pending)
    for one in deletions:
        one["is_under_way"] = one["entry_index"] in under_way
    return deletions


def _tell_who(deletions: Sequence[dict[str, Any]]) -> None:
    """Adds the audit log's entry on each, which names the call, or the session whose commitment the
    deletion has."""
    indices = [one["entry_index"] for one in deletions]
    removed = Tombstone.objects.filter(deletion_index__in=indices).order_by("-log_index")
    calls = {
        str(action_id): index
        for action_id, index in removed.values_list("action_id", "deletion_index")[:SEARCHED]
    }
    by_call = AuditEntry.objects.filter(action="call.delete", object__in=list(calls))
    who: dict[int, AuditEntry] = {
        index: one for one in by_call if (index := calls[one.object]) is not None
    }
    of_sessions = AuditEntry.objects.filter(action="session.delete").order_by("-id")[:SEARCHED]
    audited = list(of_sessions)
    for one in deletions:
        salt = one["entry"].salt
        if one["entry_index"] not in who and salt is not None:
            found = (a for a in audited if commit(bytes(salt), a.object) == one["session"])
            if (entry := next(found, None)) is not None:
                who[one["entry_index"]] = entry
        one["audit"] = who.get(one["entry_index"])
