"""The position of each sink, and its lease, which one process at a time holds."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from capture.ledger.changes import query_row
from capture.models import Ledger
from reports.models import SinkCursor

# After a process was killed, the others wait this long.
LEASE = timedelta(seconds=15)


class LeaseLost(Exception):
    """Another process has the lease of this sink: it will do what was not committed."""


def positions(name: str) -> tuple[int, int]:
    """Returns the position of the sink and the ledger's last seq, in one query. Raises
    Ledger.DoesNotExist while the tables are being created."""
    row = query_row(
        "SELECT s.seq, l.last_seq FROM capture_ledger l"
        " LEFT JOIN reports_sinkcursor s ON s.name = %s",
        (name,),
    )
    if row is None:
        raise Ledger.DoesNotExist
    return row[0] or 0, row[1]


def position(name: str) -> int:
    """Returns the seq up to which the sink has taken all calls; 0 before its first step."""
    return SinkCursor.objects.filter(pk=name).values_list("seq", flat=True).first() or 0


def new_holder() -> str:
    """Returns a name for one that takes leases in this process."""
    return f"{socket.gethostname()[:32]} {os.getpid()} {secrets.token_hex(4)}"


def acquire(name: str, holder: str) -> bool:
    """Takes the lease, or renews it, and returns whether `holder` has it. An expired lease goes to
    the first process that asks for it."""
    # One that ends later than a new one would was made before the clock was set back.
    has_expired = Q(held_until__lt=Now()) | Q(held_until__gt=Now() + LEASE)
    free = SinkCursor.objects.filter(Q(holder=holder) | has_expired, pk=name)
    if free.update(holder=holder, held_until=Now() + LEASE) == 1:
        return True
    made = SinkCursor(name=name, holder=holder, held_until=Now() + LEASE)
    SinkCursor.objects.bulk_create([made], ignore_conflicts=True)
    return SinkCursor.objects.filter(pk=name, holder=holder).exists()


def advance(name: str, holder: str, seq: int) -> None:
    """Moves the cursor. Raises LeaseLost if another process has the lease: the caller's transaction
    must not be committed."""
    held = SinkCursor.objects.filter(pk=name, holder=holder)
    if held.update(seq=seq, held_until=Now() + LEASE) != 1:
        raise LeaseLost(name)


def release(name: str, holder: str) -> None:
    SinkCursor.objects.filter(pk=name, holder=holder).update(held_until=Now())
