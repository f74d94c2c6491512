"""FTS5 with the trigram tokenizer over folded texts: https://www.sqlite.org/fts5.html.

The table has no content of its own; rowids are seqs. A transaction must stay below 100 ms, and FTS5
takes some for each 100,000 characters, so a longer text is cut into pieces that overlap by the
longest word. Their rowids lie beyond all seqs.
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

PIECE = 30_000
# A piece's rowid is its number, from 1 on, times this, and the seq.
BEYOND = 1 << 40
INDEXED_FROM = 3  # characters of a word
MERGE_PAGES = 200
FIRST_MATCH = 30
MATCH_AT_ONCE = 1000
SCAN_AT_ONCE = 1000

_FTS = "reports_search"
_TEXTS = "reports_searchtext"


class Piece(NamedTuple):
    rowid: int
    folded: str | None  # None: all of it is in pieces before
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
            # FTS5 would merge within our transactions, up to a second at once: `merge` does it.
            cursor.execute(f"INSERT INTO {_FTS}({_FTS}, rank) VALUES ('automerge', 0)")
            cursor.execute(f"INSERT INTO {_FTS}({_FTS}, rank) VALUES ('crisismerge', 1900)")
        return None

    def pieces(self, document: Document) -> list[Piece]:
        folded, packed = fold(document.joined), document.packed()
        if len(folded) <= PIECE:
            return [Piece(document.seq, folded, packed)]
        cut = [
            Piece(number * BEYOND + document.seq, folded[start : start + PIECE + MAX_LENGTH], b"")
            for number, start in enumerate(range(0, len(folded), PIECE), 1)
        ]
        return [*cut, Piece(document.seq, None, packed)]

    def missing(self, pieces: list[Piece]) -> list[Piece]:
        known = {row[0] for row in _rows("id", [piece.rowid for piece in pieces])}
        return [piece for piece in pieces if piece.rowid not in known]

    def add(self, pieces: list[Piece]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {_FTS}(rowid, folded) VALUES (%s, %s)",
                [(piece.rowid, piece.folded) for piece in pieces if piece.folded is not None],
            )
            cursor.executemany(
                f"INSERT INTO {_TEXTS}(id, packed) VALUES (%s, %s)",
                [(piece.rowid, piece.packed) for piece in pieces],
            )

    def merge(self) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {_FTS}({_FTS}, rank) VALUES ('merge', {MERGE_PAGES})")

    def candidates(self, query: Query, before: int, deadline: float) -> Iterator[CandidateRange]:
        words = [word for word in query.words if len(word) >= INDEXED_FROM]
        found = _indexed(words, before) if words else _scanned(before)
        for some in found:
            yield some
            if time.monotonic() > deadline:
                return

    def documents(self, seqs: Collection[int]) -> dict[int, Document]:
        return {id_: Document.unpacked(id_, packed) for id_, packed in _rows("id, packed", seqs)}

    def seqs(self, first: int, last: int) -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {_TEXTS} WHERE id BETWEEN %s AND %s", [first, last])
            return {id_ for (id_,) in cursor.fetchall()}

    def forget(self, seqs: Collection[int]) -> None:
        for document in self.documents(seqs).values():
            pieces = self.pieces(document)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.executemany(
                    f"INSERT INTO {_FTS}({_FTS}, rowid, folded) VALUES ('delete', %s, %s)",
                    [(piece.rowid, piece.folded) for piece in pieces if piece.folded is not None],
                )
                cursor.executemany(
                    f"DELETE FROM {_TEXTS} WHERE id = %s", [(piece.rowid,) for piece in pieces]
                )


def _rows(columns: str, ids: Collection[int]) -> list[tuple[int, bytes]]:
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(ids))
        cursor.execute(f"SELECT {columns} FROM {_TEXTS} WHERE id IN ({marks})", list(ids))
        rows: list[tuple[int, bytes]] = cursor.fetchall()
        return rows


def _indexed(words: list[str], before: int) -> Iterator[CandidateRange]:
    phrases = [_phrase(word) for word in words]
    long = _long_texts(phrases)
    # A page first: a phrase of frequent trigrams takes a third of a millisecond a hit.
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
    """Of the texts that are in pieces, those that have each word in one of them."""
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


def _scanned(before: int) -> Iterator[CandidateRange]:
    while before > 1:
        lowest = max(1, before - SCAN_AT_ONCE)
        yield CandidateRange(lowest, list(range(before - 1, lowest - 1, -1)))
        before = lowest
