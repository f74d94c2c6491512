"""The index of the database that the ledger is in.

Both kinds keep the packed text of each call, for snippets and for scanning, and find the calls that
may match; that they do is seen in the texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from django.db import connection

from reports.search.candidates import CandidateRange
from reports.search.documents import Document
from reports.search.postgresql import PostgresqlIndex
from reports.search.query import Query
from reports.search.sqlite import SqliteIndex


class Index(Protocol):
    def prepare(self) -> str | None:
        """Make what is missing. Says what searches must do without."""

    def pieces(self, document: Document) -> list[Any]:
        """What `add` takes: the last one makes the call known, those before it may be added in
        transactions of their own."""

    def missing(self, pieces: list[Any]) -> list[Any]: ...

    def add(self, pieces: list[Any]) -> None: ...

    def merge(self) -> None:
        """A bounded bit of keeping order, in a transaction of its own."""

    def candidates(self, query: Query, before: int, deadline: float) -> Iterator[CandidateRange]:
        """The calls below `before`, down to 1, newest first and without gaps; ends earlier at the
        deadline (monotonic)."""

    def documents(self, seqs: Collection[int]) -> dict[int, Document]: ...

    def seqs(self, first: int, last: int) -> set[int]:
        """Of the calls from `first` to `last`, those that it holds."""

    def forget(self, seqs: Collection[int]) -> None: ...


def index() -> Index:
    if connection.vendor == "sqlite":
        return SqliteIndex()
    return PostgresqlIndex()
