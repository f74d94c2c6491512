"""Follows the audit log, whose entries the log has too, by their ids, which have no gaps."""

from __future__ import annotations

from django.db import transaction

from access.models import AuditChain, AuditEntry
from capture.evidence.leaf import Kind
from capture.ledger.changes import query_row
from capture.ledger.log.append import Log
from capture.models import Ledger

AT_ONCE = 500


def follow_step(known: int) -> tuple[int, bool]:
    """Appends audit entries that the log lacks. `known` is the last one that it has, as far as the
    caller knows. Returns what it has now, and whether there may be more."""
    # Plain SQL: it is asked with each batch.
    row = query_row(f"SELECT last_id FROM {AuditChain._meta.db_table}")
    if row is None or row[0] <= known:
        return known, False
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        found = AuditEntry.objects.filter(id__gt=ledger.log_audit_id).order_by("id")
        entries = list(found.values_list("id", "hash")[:AT_ONCE])
        log = Log(ledger)
        for number, hash_ in entries:
            log.add(Kind.AUDIT, {"audit_id": number, "hash": hash_})
            ledger.log_audit_id = number
        log.write()
        ledger.save()
    return max(known, ledger.log_audit_id), len(entries) == AT_ONCE
