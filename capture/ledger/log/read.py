"""Reads the log: its tree, its entries, and the records of calls as they were recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from capture.evidence.leaf import Kind, commit
from capture.evidence.tree import Tree
from capture.ledger.bulk_sql import Row, chunks
from capture.ledger.log.records import (
    BODY_COLUMNS,
    CALL_COLUMNS,
    TOOL_CALL_COLUMNS,
    record_of,
    undo,
)
from capture.models import Call, Ledger, LogEntry, LogTile, ToolCall

Facts = dict[str, Any]
"""What the record of an entry says."""


class MissingTile(LookupError):
    """The database lacks a part of the log's tree."""


class StoredRecord(NamedTuple):
    """The record of a call, made again from what the ledger has now."""

    log_index: int
    record: bytes


def read_tile(level: int, index: int) -> bytes:
    """Raises MissingTile."""
    found = LogTile.objects.filter(level=level, index=index).values_list("hashes", flat=True)
    hashes = found.first()
    if hashes is None:
        raise MissingTile(f"tile {index} of level {level} of the log is missing")
    return bytes(hashes)


def log_size() -> int:
    return Ledger.objects.values_list("log_size", flat=True).get(pk=1)


def tree_at(size: int) -> Tree:
    """Returns the tree of the log's first `size` entries."""
    return Tree(size, read_tile)


def read_entries(action_ids: Sequence[UUID]) -> list[LogEntry]:
    """Returns the entries about these calls, in the log's order."""
    found: list[LogEntry] = []
    for some in chunks(action_ids):
        found += LogEntry.objects.filter(action_id__in=some)
    return sorted(found, key=lambda entry: entry.index)


def facts_of(entry: LogEntry) -> Facts:
    facts: Facts = orjson.loads(entry.record)
    return facts


def deletions_of(session_id: str, entries: Iterable[LogEntry]) -> Iterator[tuple[LogEntry, Facts]]:
    """Yields those of `entries` on deletions that are about calls of this session, whose names
    their records do not say."""
    for entry in entries:
        facts = facts_of(entry)
        if entry.salt is not None and commit(bytes(entry.salt), session_id) == facts["session"]:
            yield entry, facts


def read_records(action_ids: Sequence[UUID]) -> dict[UUID, StoredRecord]:
    """Returns the records of those calls that are in the log and on record. They hold as many texts
    as the calls do, so ask for a few hundred at most."""
    rows = _rows(action_ids)
    found = [pk for pk, row in rows.items() if row["log_index"] is not None]
    tool_calls: dict[UUID, list[Row]] = defaultdict(list)
    corrections: dict[UUID, list[Facts]] = defaultdict(list)
    for some in chunks(found):
        called = ToolCall.objects.filter(call__in=some).order_by("call_id", "position")
        for one in called.values("call_id", *TOOL_CALL_COLUMNS):
            tool_calls[one["call_id"]].append(one)
    for entry in read_entries(found):
        if entry.kind == Kind.CORRECTION and entry.action_id is not None:
            corrections[entry.action_id].append(facts_of(entry))
    return {pk: _stored_record(rows[pk], tool_calls[pk], corrections[pk]) for pk in found}


_BODY = {f"body__{name}": name for name in BODY_COLUMNS}


def _rows(action_ids: Sequence[UUID]) -> dict[UUID, Row]:
    rows: dict[UUID, Row] = {}
    for some in chunks(action_ids):
        found = Call.objects.filter(pk__in=some)
        columns = (*CALL_COLUMNS, *_BODY, "log_index", "session__session_id")
        rows.update({row["action_id"]: row for row in found.values(*columns)})
    return rows


def _stored_record(row: Row, tool_calls: list[Row], corrections: list[Facts]) -> StoredRecord:
    body = {name: row[path] for path, name in _BODY.items()}
    session_id = row["session__session_id"]
    record = record_of(row, body, tool_calls, session_id=session_id, as_recorded=undo(corrections))
    return StoredRecord(row["log_index"], record)
