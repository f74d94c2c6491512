"""pg_trgm over folded texts: https://www.postgresql.org/docs/current/pgtrgm.html.

A GIN index returns all rows of a word at once, in no order. So the texts are in partitions of
65,536 calls, read from the newest on: a frequent word costs one of them, a rare word a lookup in
each.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from django.db import DatabaseError, OperationalError, connection, transaction

from reports.search.candidates import CandidateRange
from reports.search.documents import Document
from reports.search.folding import fold
from reports.search.query import Query

PARTITION = 1 << 16
FIRST_SCAN = 200
SCAN_AT_ONCE = 2000

_TEXTS = "reports_searchtext"
_TRIGRAMS = "reports_searchtext_trigrams"

# In pg_trgm words are letters and digits, and three of them in a row make a trigram.
_INDEXED = re.compile(r"[^\W_]{3}")
_INDEXED_IN_C = re.compile(r"[a-z0-9]{3}")
_SPECIAL = re.compile(r"[\\%_]")

NO_EXTENSION = (
    "searches scan every call because PostgreSQL lacks pg_trgm: as a superuser, run"
    " CREATE EXTENSION pg_trgm, then restart"
)
NO_CTYPE = (
    "searches for words that are not ASCII scan every call because the database's LC_CTYPE is C"
)


class TextRow(NamedTuple):
    seq: int
    folded: str
    packed: bytes


class PostgresqlIndex:
    def prepare(self) -> str | None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {_TEXTS} (seq bigint PRIMARY KEY,"
                " packed bytea NOT NULL, folded text NOT NULL) PARTITION BY RANGE (seq)"
            )
            cursor.execute(f"ALTER TABLE {_TEXTS} ALTER packed SET STORAGE EXTERNAL")
        for statement in (
            "CREATE EXTENSION IF NOT EXISTS pg_trgm",
            f"CREATE INDEX IF NOT EXISTS {_TRIGRAMS} ON {_TEXTS} USING gin (folded gin_trgm_ops)",
        ):
            try:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            except OperationalError:
                raise
            except DatabaseError:  # not installed, not allowed
                pass
        indexed = _index_pattern()
        if indexed is None:
            return NO_EXTENSION
        return NO_CTYPE if indexed is _INDEXED_IN_C else None

    def rows(self, document: Document) -> list[TextRow]:
        return [TextRow(document.seq, fold(document.joined), document.pack())]

    def missing(self, rows: list[TextRow]) -> list[TextRow]:
        return rows

    def add(self, rows: list[TextRow]) -> None:
        with connection.cursor() as cursor:
            for number in {row.seq // PARTITION for row in rows}:
                first = number * PARTITION
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS {_TEXTS}_{number} PARTITION OF {_TEXTS}"
                    f" FOR VALUES FROM ({first}) TO ({first + PARTITION})"
                )
            cursor.executemany(
                f"INSERT INTO {_TEXTS} (seq, folded, packed) VALUES (%s, %s, %s)", rows
            )

    def merge(self) -> None:
        pass  # VACUUM does it

    def candidates(self, query: Query, before: int, deadline: float) -> Iterator[CandidateRange]:
        patterns = ["%" + _SPECIAL.sub(r"\\\g<0>", word) + "%" for word in query.words]
        # Most words that are searched for are among the newest calls.
        at_once, use_index = FIRST_SCAN, False
        while before > 1:
            # With the index a partition, or the rest of it; without, `at_once` calls.
            lowest = (before - 1) // PARTITION * PARTITION if use_index else before - at_once
            lowest = max(1, lowest)
            try:
                seqs = _like(patterns, lowest, before, deadline, use_index=use_index)
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) == "57014":  # our own deadline
                    return
                raise
            yield CandidateRange(lowest, seqs)
            if time.monotonic() > deadline:
                return
            before = lowest
            if at_once == FIRST_SCAN:
                at_once = SCAN_AT_ONCE
            elif not use_index:
                indexed = _index_pattern()
                use_index = indexed is not None and any(map(indexed.search, query.words))

    def documents(self, seqs: Collection[int]) -> dict[int, Document]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT seq, packed FROM {_TEXTS} WHERE seq = ANY(%s)", [list(seqs)])
            return {seq: Document.unpack(seq, packed) for seq, packed in cursor.fetchall()}

    def seqs(self, first: int, last: int) -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT seq FROM {_TEXTS} WHERE seq BETWEEN %s AND %s", [first, last])
            return {seq for (seq,) in cursor.fetchall()}

    def forget(self, seqs: Collection[int]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {_TEXTS} WHERE seq = ANY(%s)", [list(seqs)])


def _like(
    patterns: list[str], lowest: int, before: int, deadline: float, *, use_index: bool
) -> list[int]:
    # The planner cannot estimate how frequent a part of a long text is.
    unwanted = ("enable_indexscan", "enable_seqscan") if use_index else ("enable_bitmapscan",)
    left_ms = max(1, int((deadline - time.monotonic()) * 1000))
    with transaction.atomic(), connection.cursor() as cursor:
        settings = {"statement_timeout": left_ms, **dict.fromkeys(unwanted, "off")}
        cursor.execute("; ".join(f"SET LOCAL {name} = {to}" for name, to in settings.items()))
        # The bounds are literals, so that the plan reads one partition.
        cursor.execute(
            f"SELECT seq FROM {_TEXTS} WHERE seq >= {lowest} AND seq < {before}"
            # One condition a word: the index does not serve LIKE ALL(…).
            + " AND folded LIKE %s" * len(patterns)
            + " ORDER BY seq DESC",
            patterns,
        )
        return [seq for (seq,) in cursor.fetchall()]


def _index_pattern() -> re.Pattern[str] | None:
    """Returns what a word must contain to be found by the index; None: there is no index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.indisvalid, d.datctype FROM pg_index i, pg_database d"
            " WHERE i.indexrelid = to_regclass(%s) AND d.datname = current_database()",
            [_TRIGRAMS],
        )
        row = cursor.fetchone()
    if row is None or not row[0]:
        return None
    return _INDEXED_IN_C if row[1] in ("C", "POSIX") else _INDEXED
