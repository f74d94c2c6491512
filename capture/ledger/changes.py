"""Cheap questions to the database that are asked all the time: has anybody written to it, and how
far is the ledger?

SQLite counts commits for each connection (`PRAGMA data_version`): without a new one, nothing else
need be asked. PostgreSQL has no such counter, and its LISTEN does not work behind pgbouncer; there,
one row says how far the ledger is. Everything here is plain SQL: the ORM takes ten times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connection

from capture.models import Ledger


class LedgerPosition(NamedTuple):
    """A position in the ledger: its last call, and the last entry of the audit log, which records
    what has no seq (deletions, labels, stops, tokens)."""

    seq: int
    audit_id: int

    def text(self) -> str:
        """Returns it as clients get it: `place` in the live feed's messages."""
        return f"{self.seq}.{self.audit_id}"


def newest_position() -> LedgerPosition:
    """Returns the ledger's end. A reader that saw a call has seen all calls before it, because a
    seq is assigned under a lock; an entry of the audit log is committed with what it records.
    Raises DatabaseError, and Ledger.DoesNotExist while the tables are being created."""
    row = query_row(
        "SELECT l.last_seq, a.last_id FROM capture_ledger l CROSS JOIN access_auditchain a"
    )
    if row is None:
        raise Ledger.DoesNotExist
    return LedgerPosition(*row)


def query_row(sql: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
    """Returns the first row that a query finds. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


class ChangeProbe:
    """Belongs to one thread, whose connection to the database stays open for it."""

    def __init__(self) -> None:
        # SQLite's counter means something for one connection only.
        self._seen: tuple[Any, int] | None = None

    def may_have_changed(self) -> bool:
        """Returns False if no other connection has written since the last question. Whoever cannot
        read what has changed then closes the connection, and the next question returns True.
        Raises DatabaseError."""
        if connection.vendor != "sqlite":
            return True
        row = query_row("PRAGMA data_version")
        # After the query, which opens another file if one has replaced the ledger's.
        seen = (connection.connection, row[0] if row else 0)
        has_changed = seen != self._seen
        self._seen = seen
        return has_changed
