"""Stores entries in the ledger: each once, a batch in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from django.db import connection, transaction

from capture.ledger.batch import Batch, find_replaced
from capture.ledger.bulk_sql import existing, table_name
from capture.ledger.entry import Entry
from capture.ledger.identity import LedgerState
from capture.ledger.log.append import LogMemory
from capture.ledger.parts import PartMemory
from capture.ledger.rollups import RollupKeyMemory
from capture.ledger.tombstones import find_deleted, insert_tombstones
from capture.models import Call, Ledger, SpoolPosition, Tombstone


class LedgerMemory:
    """A recorder's memory of the ledger and of rows that it holds, which saves looking them up."""

    def __init__(self) -> None:
        self.state = LedgerState()
        self.parts = PartMemory()
        self.rollup_keys = RollupKeyMemory()
        self.log = LogMemory()


def record(
    entries: Sequence[Entry],
    positions: Mapping[str, int],
    memory: LedgerMemory,
    *,
    keep_binaries: bool = False,
) -> int:
    """Adds the entries that the ledger does not hold yet, and the positions in the spool after
    them. With `keep_binaries`, the bytes of their binaries are stored too.

    Returns how many were added. Either all of it is committed or nothing. Raises LedgerReplaced if
    this is not the ledger that `memory` is of, or if it is gone with what was committed.
    """
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        memory.state.follow(ledger)
        memory.parts.follow(ledger)
        memory.rollup_keys.follow(ledger)
        replaced = find_replaced(entries)
        new = _not_recorded(entries, replaced)
        calls = [entry.call for entry in new]
        deleted_at = find_deleted(calls)
        new = [entry for entry in new if entry.call.action_id not in deleted_at]
        batch = Batch(
            ledger, memory.parts, memory.rollup_keys, memory.log, keep_binaries=keep_binaries
        )
        insert_tombstones(calls, deleted_at, batch.log)
        batch.add(new, replaced)
        batch.write()
        _save_positions(positions)
    memory.state.learn(ledger)
    memory.parts.learn(batch.parts.learned)
    memory.rollup_keys.learn(batch.rollups.learned)
    memory.log.learn(batch.log)
    return len(new)


def check_writable() -> None:
    """Raises the database's error if no call could be recorded now."""
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        ledger.save()


def spool_positions() -> dict[str, int]:
    """Returns where to go on reading, by the name of the segment."""
    return dict(SpoolPosition.objects.values_list("segment", "offset"))


def forget_segments(names: Iterable[str]) -> None:
    """Deletes the positions of segments whose files are gone."""
    SpoolPosition.objects.filter(segment__in=list(names)).delete()


def _not_recorded(entries: Sequence[Entry], replaced: Collection[UUID]) -> list[Entry]:
    """A spool that is read again after a crash yields calls that were recorded before it."""
    ids = [entry.call.action_id for entry in entries]
    seen = existing(Call, "action_id", ids) | existing(Tombstone, "action_id", ids)
    seen.difference_update(replaced)
    new = []
    for entry in entries:
        if entry.call.action_id not in seen:
            seen.add(entry.call.action_id)
            new.append(entry)
    return new


def _save_positions(positions: Mapping[str, int]) -> None:
    table = table_name(SpoolPosition)
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO {table} (segment, "offset") VALUES (%s, %s)'
            ' ON CONFLICT (segment) DO UPDATE SET "offset" = excluded."offset"',
            list(positions.items()),
        )
