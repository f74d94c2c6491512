"""The thread that follows what operators change: by whom they are changed, and in which file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import httpx

from tests.support.ledger import Ledger, empty_database, wait_until


def status(ledger: Ledger) -> int:
    return ledger.post("s").status_code


def test_a_change_by_sql_is_noticed_though_the_audit_log_has_no_entry(fresh: Ledger) -> None:
    with fresh:
        body = {"scope": "everything", "reason": "night"}
        httpx.post(f"{fresh.url}/api/stops", json=body).raise_for_status()
        wait_until(lambda: status(fresh) == 403, deadline_s=1.0)
        with closing(sqlite3.connect(fresh.folder / "agentledger.db", timeout=20)) as db, db:
            db.execute("DELETE FROM capture_stop")
        wait_until(lambda: status(fresh) == 200)


def test_stops_of_a_file_that_replaces_the_ledger_are_in_force(fresh: Ledger) -> None:
    other = fresh.folder / "other.db"
    shutil.copy(empty_database(), other)
    with closing(sqlite3.connect(other)) as db, db:
        db.execute(
            "INSERT INTO capture_stop (scope, value, reason, who, created_at)"
            " VALUES ('everything', '', 'from a backup', 'ops', '2026-01-01 00:00:00')"
        )
    with fresh:
        assert status(fresh) == 200
        other.replace(fresh.folder / "agentledger.db")
        wait_until(lambda: status(fresh) == 403)
