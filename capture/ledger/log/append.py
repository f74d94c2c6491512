"""Appends entries to the log, under the ledger's lock and in the transaction that records what they
are about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.utils.timezone import now

from capture.evidence.leaf import SALT_SIZE, Kind, Value, microseconds, record
from capture.evidence.tree import HASH_SIZE, TILE_SIZE, TILE_WIDTH, leaf_hash, tile_root
from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, column_name, table_name
from capture.ledger.log.read import read_tile
from capture.ledger.log.records import record_of
from capture.models import Ledger, LogEntry, LogTile


class LoggedCall(NamedTuple):
    """The rows of a call, which get its place and its secret."""

    row: Row
    body: Row
    tool_calls: list[Row]
    session_id: str | None


class LogMemory:
    """A recorder's memory of the tiles at the log's end, which saves reading them."""

    def __init__(self) -> None:
        self.size = -1
        self.edges: dict[int, bytes] = {}  # by level; those that are not full

    def learn(self, log: Log) -> None:
        """Is called when what was appended is committed."""
        self.size, self.edges = log.size, {level: bytes(edge) for level, edge in log.edges.items()}


class Log:
    """The end of the log, to which one transaction appends. The caller saves the ledger's row."""

    def __init__(self, ledger: Ledger, memory: LogMemory | None = None) -> None:
        self._ledger = ledger
        self._tiles: dict[tuple[int, int], bytearray] = {}  # that changed
        self._entries: list[Row] = []
        self.edges: dict[int, bytearray] = {}
        if memory is not None and memory.size == ledger.log_size:
            self.edges = {level: bytearray(edge) for level, edge in memory.edges.items()}

    @property
    def size(self) -> int:
        return self._ledger.log_size

    @property
    def has_grown(self) -> bool:
        return bool(self._tiles)

    def add_calls(self, calls: list[LoggedCall]) -> None:
        secrets = os.urandom(SALT_SIZE * len(calls))
        for number, (row, body, tool_calls, session_id) in enumerate(calls):
            body["log_secret"] = secrets[number * SALT_SIZE : (number + 1) * SALT_SIZE]
            row["log_index"] = self._append(record_of(row, body, tool_calls, session_id=session_id))

    def add(
        self,
        kind: Kind,
        facts: Mapping[str, Value],
        *,
        about: UUID | None = None,
        salt: bytes | None = None,
    ) -> int:
        """Appends an entry that is not a call, but may be about one. Returns its index."""
        facts = {**facts, "kind": kind.value, "at": microseconds(now())}
        if about is not None:
            facts["action_id"] = str(about)
        made = record(facts)
        index = self._append(made)
        self._entries.append(
            {
                "index": index,
                "kind": kind.value,
                "action_id": about,
                "record": made.decode(),
                "salt": salt,
            }
        )
        return index

    def _append(self, record: bytes) -> int:
        index = self._ledger.log_size
        self._push(0, index, leaf_hash(record))
        self._ledger.log_size += 1
        return index

    def _push(self, level: int, n_before: int, one: bytes) -> None:
        """Adds a hash to a level that has `n_before`."""
        tile, n_in_tile = divmod(n_before, TILE_WIDTH)
        edge = self.edges.get(level)
        if edge is None:
            edge = (
                bytearray(read_tile(level, tile)[: n_in_tile * HASH_SIZE])
                if n_in_tile
                else bytearray()
            )
            self.edges[level] = edge
        edge += one
        self._tiles[level, tile] = edge
        if len(edge) == TILE_SIZE:
            del self.edges[level]
            self._push(level + 1, tile, tile_root(bytes(edge)))

    def write(self) -> None:
        if not self._tiles:
            return
        bulk_sql.insert(LogEntry, self._entries)
        with connection.cursor() as cursor:
            cursor.executemany(
                _upsert(), [(*place, bytes(hashes)) for place, hashes in self._tiles.items()]
            )
        self._ledger.log_at = now()


def _upsert() -> str:
    level, index, hashes = (column_name(LogTile, name) for name in ("level", "index", "hashes"))
    return (
        f"INSERT INTO {table_name(LogTile)} ({level}, {index}, {hashes}) VALUES (%s, %s, %s)"
        f" ON CONFLICT ({level}, {index}) DO UPDATE SET {hashes} = excluded.{hashes}"
    )


def append_entry(kind: Kind, facts: Mapping[str, Value]) -> int:
    """Appends one entry in a transaction of its own. Returns its index."""
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        log = Log(ledger)
        index = log.add(kind, facts)
        log.write()
        ledger.save()
    return index
