"""The ledger is verified by itself, once a week."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from tests.support.ledger import Ledger, wait_until

INTERRUPTED = """
from reports.models import Verification
from reports.verification import history
Verification.objects.all().delete()
row, walk = history.begin()
walk.n_calls = 1_000_000
history.save(row, walk)
"""


def state(ledger: Ledger) -> dict[str, Any]:
    found: dict[str, Any] = ledger.get("/readyz").json()["verification"]
    return found


def finished(ledger: Ledger) -> dict[str, Any] | None:
    """What the only verification that is kept found, once it is finished."""
    query = "SELECT state FROM reports_verification WHERE finished_at IS NOT NULL"
    with closing(sqlite3.connect(ledger.folder / "agentledger.db", timeout=20)) as database:
        rows = database.execute(query).fetchall()
    return json.loads(rows[0][0]) if rows else None


def test_a_verification_goes_on_where_it_was(fresh: Ledger) -> None:
    with fresh as ledger:
        ledger.post("s")
        ledger.calls("s")
        wait_until(lambda: state(ledger).get("finished_at"))
        assert state(ledger)["n_findings"] == 0
    assert fresh.command("shell", "-v", "0", "-c", INTERRUPTED).returncode == 0
    with fresh as ledger:
        kept = wait_until(lambda: finished(ledger))
    assert kept["n_calls"] == 1_000_001
