"""Verifies what is not at an index of the log: its size, and what should have a place in it."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet, Subquery
from django.db.models.functions import Length

from access import audit
from capture.evidence.tree import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH
from capture.ledger.log.read import log_size
from capture.models import Call, Ledger, LogEntry, LogTile, Tombstone
from reports.verification.findings import Damage, Finding
from reports.verification.signed import verify_lost

# In one statement with what is compared to it: the log grows meanwhile.
_SIZE = Subquery(Ledger.objects.filter(pk=1).values("log_size")[:1])


def verify_ends() -> Iterator[Finding]:
    yield from _verify_tail()
    yield from _verify_edges()
    yield from verify_lost(log_size())
    yield from _verify_unlogged()
    try:
        audit.verify()
    except audit.BrokenChain as broken:
        yield Finding(Damage.ALTERED, f"the audit log is broken: {broken}")


def _verify_tail() -> Iterator[Finding]:
    """Nothing has a place beyond the log's end."""
    calls = Call.objects.filter(log_index__gte=_SIZE).order_by("log_index")
    deleted = Tombstone.objects.filter(log_index__gte=_SIZE).order_by("log_index")
    entries = LogEntry.objects.filter(index__gte=_SIZE).order_by("index")
    for beyond, what in (
        (calls.values_list("log_index", "action_id"), "a call"),
        (deleted.values_list("log_index", "action_id"), "a deleted call"),
        (entries.values_list("index", "kind"), "an entry on"),
    ):
        first = beyond.first()
        if first is not None:
            index, name = first
            told = f"{what} {name} has a place beyond the log's end"
            yield Finding(Damage.ADDED, told, index, str(name) if what != "an entry on" else None)


def _verify_edges() -> Iterator[Finding]:
    """The last tiles end where the log does."""
    sizes: QuerySet[LogTile, tuple[int, int, int, int]] = (
        LogTile.objects.annotate(n_bytes=Length("hashes"), log_size=_SIZE)
        .order_by("level", "-index")
        .values_list("level", "index", "n_bytes", "log_size")
    )
    for level in range(64 // TILE_HEIGHT):
        last = sizes.filter(level=level).first()
        if last is None:
            continue
        _, index, n_bytes, log_size = last
        n_hashes = log_size // TILE_WIDTH**level
        left = n_hashes - index * TILE_WIDTH
        if n_bytes > min(max(left, 0), TILE_WIDTH) * HASH_SIZE:
            what = f"tile {index} of level {level} has more hashes than the log has entries"
            yield Finding(Damage.ADDED, what, index * TILE_WIDTH ** (level + 1))


def _verify_unlogged() -> Iterator[Finding]:
    """Only calls that were recorded before there was a log may be without a place in it."""
    logged = (
        Call.objects.exclude(log_index=None).order_by("log_index").values_list("seq", flat=True)
    )
    first = logged.first()
    if first is None:
        return
    added = Call.objects.filter(log_index=None, seq__gt=first).order_by("seq")
    for action_id, seq in added.values_list("action_id", "seq")[:1]:
        what = f"call {action_id}, number {seq}, has no place in the log, as {added.count()} in all"
        yield Finding(Damage.ADDED, what, action_id=str(action_id))


def count_unlogged() -> int:
    """Returns how many calls were recorded before there was a log."""
    return Call.objects.filter(log_index=None).count()
