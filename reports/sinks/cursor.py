"""Where a sink stands, and whose turn it is: one process at a time holds its lease."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from reports.models import SinkCursor

# A process that is killed holds up the others for so long.
LEASE = timedelta(seconds=15)


class LeaseLost(Exception):
    """Another process follows for this sink: what was not committed is its to do."""


def position(name: str) -> int:
    """The seq up to which the sink has taken all calls; 0 before it has begun."""
    return SinkCursor.objects.filter(pk=name).values_list("seq", flat=True).first() or 0


def acquire(name: str, holder: str) -> bool:
    """Take the lease, or keep it. A lease that has run out goes to who comes first."""
    free = SinkCursor.objects.filter(Q(holder=holder) | Q(held_until__lt=Now()), pk=name)
    if free.update(holder=holder, held_until=Now() + LEASE) == 1:
        return True
    made = SinkCursor(name=name, holder=holder, held_until=Now() + LEASE)
    SinkCursor.objects.bulk_create([made], ignore_conflicts=True)
    return SinkCursor.objects.filter(pk=name, holder=holder).exists()


def advance(name: str, holder: str, seq: int) -> None:
    """Raises LeaseLost: the caller's transaction must not be committed."""
    held = SinkCursor.objects.filter(pk=name, holder=holder)
    if held.update(seq=seq, held_until=Now() + LEASE) != 1:
        raise LeaseLost(name)


def release(name: str, holder: str) -> None:
    SinkCursor.objects.filter(pk=name, holder=holder).update(held_until=Now())
