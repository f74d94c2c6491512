"""Rollups: sums over the calls of each hour and each day, updated in the transaction that stores
the calls, so that a query over a long time need not read the calls themselves.

Calls are summed up by all names that they carry together, by each of these alone, by user, and as a
whole. Names come from outside, so their number is bounded: after the first `MOST_KEYS` names of a
kind in an hour (or a day), all others are summed up under one key, "other".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import orjson
from django.db import connection

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, chunks, table_name
from capture.ledger.rollup_sums import (
    ALL_NAMES,
    CALLS,
    FIGURES,
    KINDS,
    MAX_KEY,
    Columns,
    Money,
    Names,
    RollupSlot,
    Sums,
    Traffic,
    add_to_columns,
    row_id,
)
from capture.models import Ledger, Rollup, RollupKey

MOST_KEYS = 10_000
# As many keys as the recorder remembers; about 10 MB.
REMEMBERED = 20_000

Key = tuple[int, Names | None]
"""The kind (an index into `KINDS`), and the names; None for the key of all others."""


class RollupKeyMemory:
    """The ids of keys that the ledger holds, the oldest first."""

    def __init__(self) -> None:
        self.ids: dict[Key, int] = {}
        self._n_removals = 0

    def follow(self, ledger: Ledger) -> None:
        """Forgets all if a key may have lost its name, by an erasure."""
        if ledger.n_removals != self._n_removals:
            self.ids.clear()
            self._n_removals = ledger.n_removals

    def learn(self, ids: Mapping[Key, int]) -> None:
        self.ids.update(ids)
        for key in list(self.ids)[: max(0, len(self.ids) - REMEMBERED)]:
            del self.ids[key]


class Rollups:
    """The changes of one transaction, made under the ledger's lock. The caller saves the ledger."""

    def __init__(self, ledger: Ledger, memory: RollupKeyMemory) -> None:
        self._ledger = ledger
        self._memory = memory
        self._traffic = Traffic()
        self._new_keys: list[Row] = []
        self.learned: dict[Key, int] = {}

    def count(self, row: Row, n_calls: int) -> None:
        self._traffic.sums_for(row).count(row, n_calls)

    def take_out(self, row: Row, n_calls: int) -> None:
        """Takes a recorded call out of all sums: it is to be recorded anew."""
        self._traffic.sums_for(row).take_out(row, n_calls)

    def correct(self, row: Row, old: Money, new: Money) -> None:
        self._traffic.sums_for(row).correct(old, new)

    def write(self) -> None:
        by_slot = self._traffic.by_slot()
        keys = self._find_keys(by_slot)
        rows = _RollupRows()
        rows.read(
            row_id(slot, key)
            for slot, by_names in by_slot.items()
            for names in (*by_names, None)
            if (key := keys.get((slot[1], names))) is not None
        )
        for slot, by_names in by_slot.items():
            kind, room = slot[1], -1
            for names, more in by_names.items():
                key = keys.get((kind, names))
                if key is None or row_id(slot, key) not in rows.found:
                    if room < 0:
                        room = max(0, MOST_KEYS - rows.n_rows(slot))
                    used: Key = (kind, None)
                    # A correction goes to "other" if the call was counted there.
                    if room and more.counts[CALLS] > 0:
                        room, used = room - 1, (kind, names)
                    key = keys.get(used)
                    if key is None:
                        key = keys[used] = self._new_key(used)
                rows.add(slot, key, more)
        rows.write()
        bulk_sql.insert(RollupKey, self._new_keys)

    def _find_keys(self, by_slot: Mapping[RollupSlot, Iterable[Names]]) -> dict[Key, int]:
        """Returns the ids of those keys that the ledger holds."""
        wanted: set[Key] = {(slot[1], names) for slot in by_slot for names in by_slot[slot]}
        wanted |= {(slot[1], None) for slot in by_slot}
        known = self._memory.ids
        keys = {key: id_ for key in wanted if (id_ := known.get(key))}
        unknown = {key_digest(key): key for key in wanted - keys.keys()}
        for some in chunks([*unknown]):
            found = RollupKey.objects.filter(digest__in=some).values_list("digest", "id")
            for digest, id_ in found:
                key = unknown[bytes(digest)]
                keys[key] = self.learned[key] = id_
        return keys

    def _new_key(self, key: Key) -> int:
        kind, names = key
        self._ledger.last_rollup_key_id += 1
        id_ = self.learned[key] = self._ledger.last_rollup_key_id
        row: Row = {"id": id_, "digest": key_digest(key), "is_other": names is None}
        row |= dict.fromkeys(ALL_NAMES)
        if names is not None:
            row |= dict(zip(KINDS[kind], names, strict=True))
        self._new_keys.append(row)
        return id_


class _RollupRows:
    """The rows that a transaction changes."""

    def __init__(self) -> None:
        self._name = table_name(Rollup)
        self.found: dict[int, Columns] = {}
        self._changed: dict[int, Columns] = {}

    def read(self, ids: Iterable[int]) -> None:
        figures = ", ".join(FIGURES)
        with connection.cursor() as cursor:
            for some in chunks(list(ids)):
                marks = ", ".join(["%s"] * len(some))
                cursor.execute(
                    f"SELECT id, {figures} FROM {self._name} WHERE id IN ({marks})", some
                )
                self.found.update({row[0]: row[1:] for row in cursor})

    def n_rows(self, slot: RollupSlot) -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM {self._name} WHERE id BETWEEN %s AND %s",
                [row_id(slot, 0), row_id(slot, MAX_KEY)],
            )
            n_rows: int = cursor.fetchone()[0]
        return n_rows

    def add(self, slot: RollupSlot, key: int, more: Sums) -> None:
        id_ = row_id(slot, key)
        now = self.found[id_] = add_to_columns(self.found.get(id_), more)
        self._changed[id_] = (id_, slot[2], key, *now)

    def write(self) -> None:
        names = ("id", "hour", "key_id", *FIGURES)
        marks = ", ".join(["%s"] * len(names))
        changes = ", ".join(f"{name} = excluded.{name}" for name in FIGURES)
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self._name} ({', '.join(names)}) VALUES ({marks})"
                f" ON CONFLICT (id) DO UPDATE SET {changes}",
                list(self._changed.values()),
            )
        # The names of a call that was taken out may have had no other.
        empty = [id_ for id_, row in self._changed.items() if not any(row[3:])]
        bulk_sql.delete(Rollup, "id", empty)


def key_digest(key: Key) -> bytes:
    kind, names = key
    return hashlib.blake2b(orjson.dumps([KINDS[kind], names]), digest_size=16).digest()
