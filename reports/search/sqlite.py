"""FTS5 with the trigram tokenizer over folded texts: https://www.sqlite.org/fts5.html.

The table stores no content; rowids are seqs. A transaction must stay below 100 ms, and FTS5 takes
about that long for 100,000 characters, so a longer text is cut into slices that overlap by the
longest word. Their rowids are greater than all seqs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from django.db import connection, transaction

from reports.search.candidates import CandidateRange
from reports.search.documents import Document
from reports.search.folding import fold
from reports.search.query import MAX_LENGTH, Query

SLICE = 30_000
# A slice's rowid is its number, from 1 on, times this, plus the seq.
BEYOND = 1 << 40
INDEXED_FROM = 3  # characters of a word
MERGE_PAGES = 200
FIRST_MATCH = 30
MATCH_AT_ONCE = 1000
SCAN_AT_ONCE = 1000

_FTS = "reports_search"
_TEXTS = "reports_searchtext"


class TextSlice(NamedTuple):
    rowid: int
    folded: str | None  # None: all of it is in the slices before
    packed: bytes


class SqliteIndex:
    def prepare(self) -> str | None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {_TEXTS} (id INTEGER PRIMARY KEY, packed BLOB)"
            )
            cursor.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {_FTS} USING fts5("
                "folded, content='', columnsize=0, tokenize='trigram case_sensitive 1')"
            )
            # FTS5 would merge within our transactions, for up to a second: `merge` does it instead.
            cursor.execute(f"INSERT INTO {_FTS}({_FTS}, rank) VALUES ('automerge', 0)")
            cursor.execute(f"INSERT INTO {_FTS}({_FTS}, rank) VALUES ('crisismerge', 1900)")
        return None

    def rows(self, document: Document) -> list[TextSlice]:
        folded, packed = fold(document.joined), document.pack()
        if len(folded) <= SLICE:
            return [TextSlice(document.seq, folded, packed)]
        slices = [
            TextSlice(
                number * BEYOND + document.seq, folded[start : start + SLICE + MAX_LENGTH], b""
            )
            for number, start in enumerate(range(0, len(folded), SLICE), 1)
        ]
        return [*slices, TextSlice(document.seq, None, packed)]

    def missing(self, rows: list[TextSlice]) -> list[TextSlice]:
        known = {id_ for id_, *_ in _read("id", [row.rowid for row in rows])}
        return [row for row in rows if row.rowid not in known]

    def add(self, rows: list[TextSlice]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {_FTS}(rowid, folded) VALUES (%s, %s)",
                [(row.rowid, row.folded) for row in rows if row.folded is not None],
            )
            cursor.executemany(
                f"INSERT INTO {_TEXTS}(id, packed) VALUES (%s, %s)",
                [(row.rowid, row.packed) for row in rows],
            )

    def merge(self) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {_FTS}({_FTS}, rank) VALUES ('merge', {MERGE_PAGES})")

    def candidates(self, query: Query, before: int, deadline: float) -> Iterator[CandidateRange]:
        words = [word for word in query.words if len(word) >= INDEXED_FROM]
        found = _match_index(words, before) if words else _scan(before)
        for candidates in found:
            yield candidates
            if time.monotonic() > deadline:
                return

    def documents(self, seqs: Collection[int]) -> dict[int, Document]:
        return {id_: Document.unpack(id_, packed) for id_, packed in _read("id, packed", seqs)}

    def seqs(self, first: int, last: int) -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {_TEXTS} WHERE id BETWEEN %s AND %s", [first, last])
            return {id_ for (id_,) in cursor.fetchall()}

    def forget(self, seqs: Collection[int]) -> None:
        for document in self.documents(seqs).values():
            rows = self.rows(document)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.executemany(
                    f"INSERT INTO {_FTS}({_FTS}, rowid, folded) VALUES ('delete', %s, %s)",
                    [(row.rowid, row.folded) for row in rows if row.folded is not None],
                )
                cursor.executemany(
                    f"DELETE FROM {_TEXTS} WHERE id = %s", [(row.rowid,) for row in rows]
                )


def _read(columns: str, ids: Collection[int]) -> list[tuple[int, bytes]]:
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(ids))
        cursor.execute(f"SELECT {columns} FROM {_TEXTS} WHERE id IN ({marks})", list(ids))
        rows: list[tuple[int, bytes]] = cursor.fetchall()
        return rows


def _match_index(words: list[str], before: int) -> Iterator[CandidateRange]:
    phrases = [_phrase(word) for word in words]
    long = _long_texts(phrases)
    # A small batch first: a phrase of frequent trigrams takes a third of a millisecond a hit.
    all_words, at_once = " AND ".join(phrases), FIRST_MATCH
    while True:
        seqs = _match(all_words, "rowid < %s", before, at_once)
        lowest = seqs[-1] if len(seqs) == at_once else 1
        also = [seq for seq in long if lowest <= seq < before]
        yield CandidateRange(lowest, sorted({*seqs, *also}, reverse=True))
        if lowest == 1:
            return
        before, at_once = lowest, MATCH_AT_ONCE


def _long_texts(phrases: list[str]) -> set[int]:
    """Returns the seqs of the texts in slices that have each word in one of their slices."""
    found: set[int] | None = None
    for phrase in phrases:
        having = {rowid % BEYOND for rowid in _match(phrase, "rowid >= %s", BEYOND, -1)}
        found = having if found is None else found & having
        if not found:
            break
    return found or set()


def _match(expression: str, where: str, bound: int, at_once: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT rowid FROM {_FTS} WHERE {_FTS} MATCH %s AND {where}"
            " ORDER BY rowid DESC LIMIT %s",
            [expression, bound, at_once],
        )
        return [rowid for (rowid,) in cursor.fetchall()]


def _phrase(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _scan(before: int) -> Iterator[CandidateRange]:
    while before > 1:
        lowest = max(1, before - SCAN_AT_ONCE)
        yield CandidateRange(lowest, list(range(before - 1, lowest - 1, -1)))
        before = lowest
