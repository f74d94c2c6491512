"""Databases whose tables another version made are refused, and left as they are."""

from __future__ import annotations

import sqlite3
import subprocess

import psycopg
import pytest

from tests.conftest import create_database
from tests.support.ledger import COMMANDS, Ledger

MANAGE = COMMANDS["daphne"][:2]
TABLE = "CREATE TABLE django_migrations (id {id} PRIMARY KEY, app text, name text, applied {time})"
ROW = "INSERT INTO django_migrations VALUES (1, 'capture', '0001_ledger', '2026-01-01 00:00:00')"


@pytest.mark.parametrize("command", ["runproxy", "runrecorder", "migrate"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_database_of_an_older_version_is_refused_in_one_line(
    fresh: Ledger, request: pytest.FixtureRequest, database: str, command: str
) -> None:
    if database == "sqlite":
        file = fresh.folder / "old.db"
        fresh.env["AGENTLEDGER_DSN"] = f"sqlite:///{file}"
        with sqlite3.connect(file) as sqlite:
            sqlite.execute(TABLE.format(id="integer", time="datetime"))
            sqlite.execute(ROW)
        sqlite.close()
    else:
        uri = create_database(request.getfixturevalue("postgresql"), is_new=True)
        fresh.env["AGENTLEDGER_DSN"] = uri
        with psycopg.connect(uri) as postgresql:
            postgresql.execute(TABLE.format(id="bigint", time="timestamptz"))
            postgresql.execute(ROW)
    process = subprocess.run(
        [*MANAGE, command],
        cwd=fresh.folder,
        env=fresh.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert "were created by another version of AgentLedger (migration capture.0001_ledger)" in line
    assert "set AGENTLEDGER_DSN to a new database" in line
    assert list_tables(fresh.env["AGENTLEDGER_DSN"]) == ["django_migrations"]


def list_tables(dsn: str) -> list[str]:
    if dsn.startswith("sqlite"):
        with sqlite3.connect(dsn.removeprefix("sqlite:///")) as sqlite:
            names = sqlite.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        sqlite.close()
    else:
        with psycopg.connect(dsn) as postgresql:
            names = postgresql.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
    return [name for (name,) in names]
