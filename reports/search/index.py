"""The index, in the database that holds the ledger.

Both kinds store the packed text of each call, for snippets and scans, and find the calls that may
match. Whether a call matches is decided by its text.
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
        """Creates what is missing. Returns what searches must do without; None: nothing."""

    def rows(self, document: Document) -> list[Any]:
        """Returns the rows that `add` takes. The last one makes the call known; those before it may
        be added in transactions of their own."""

    def missing(self, rows: list[Any]) -> list[Any]:
        """Returns those of the rows that have not been added."""

    def add(self, rows: list[Any]) -> None: ...

    def merge(self) -> None:
        """Does a bounded amount of maintenance, in a transaction of its own."""

    def candidates(self, query: Query, before: int, deadline: float) -> Iterator[CandidateRange]:
        """Yields ranges of the calls below `before`, down to 1, newest first and without gaps; it
        ends earlier at the deadline (monotonic)."""

    def documents(self, seqs: Collection[int]) -> dict[int, Document]: ...

    def seqs(self, first: int, last: int) -> set[int]:
        """Returns the seqs from `first` to `last` that the index holds."""

    def forget(self, seqs: Collection[int]) -> None: ...


def index() -> Index:
    if connection.vendor == "sqlite":
        return SqliteIndex()
    return PostgresqlIndex()
