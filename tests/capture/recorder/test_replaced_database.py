"""A database that is deleted, replaced or put back to a backup while AgentLedger runs: what was
answered is in it afterwards, or waits in the spool."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.conftest import create_database
from tests.support.ledger import Ledger, wait_until


def database(ledger: Ledger) -> Path:
    return ledger.folder / "agentledger.db"


def log_of(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm")]


def back_up(path: Path, target: Path) -> Path:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target


def sessions(ledger: Ledger) -> set[str]:
    return {session["session_id"] for session in ledger.sessions()}


def record(ledger: Ledger, *names: str) -> None:
    for name in names:
        assert ledger.post(name).status_code == 200
        wait_until(lambda name=name: name in sessions(ledger))  # type: ignore[misc]  # its default


def reasons(ledger: Ledger) -> str:
    return " ".join(ledger.get("/readyz").json().get("reasons", ()))


def assert_sound(ledger: Ledger, *names: str) -> None:
    """After a stop the file itself is whole, and has these sessions."""
    ledger.stop()
    with closing(sqlite3.connect(database(ledger))) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {name for (name,) in file.execute("SELECT session_id FROM capture_session")}
    assert found == set(names)


def test_calls_wait_while_the_file_is_gone(fresh: Ledger) -> None:
    with fresh:
        record(fresh, "before")
        away = database(fresh).rename(fresh.folder / "away.db")
        assert fresh.post("during").status_code == 200
        wait_until(lambda: "the database is unavailable, calls wait" in reasons(fresh))
        assert "agentledger.db is missing or empty" in reasons(fresh)
        assert fresh.get("/api/sessions").status_code == 503
        assert not database(fresh).exists()
        away.rename(database(fresh))
        record(fresh, "after")
        assert_sound(fresh, "before", "during", "after")


def test_what_was_answered_without_a_file_is_in_the_next_one(fresh: Ledger) -> None:
    with fresh:
        record(fresh, "before")
        for path in (database(fresh), *log_of(database(fresh))):
            path.unlink()
        assert fresh.post("during").status_code == 200
        wait_until(lambda: "agentledger.db is missing or empty" in reasons(fresh))
    with fresh:
        wait_until(lambda: "during" in sessions(fresh))
        record(fresh, "after")


def test_a_backup_in_place_of_the_file_gets_what_the_spool_holds(fresh: Ledger) -> None:
    with fresh:
        record(fresh, "one")
        backup = back_up(database(fresh), fresh.folder / "backup.db")
        record(fresh, "two", "three")
        backup.replace(database(fresh))
        record(fresh, "four")
        wait_until(lambda: sessions(fresh) == {"one", "two", "three", "four"})
        wait_until(lambda: fresh.get("/readyz").json()["status"] == "ready")
        assert_sound(fresh, "one", "two", "three", "four")
    assert "the ledger went back from call 3 to 1" in fresh.log.read_text()


def test_a_file_that_was_emptied_can_be_replaced_by_a_backup(fresh: Ledger) -> None:
    with fresh:
        record(fresh, "one")
        backup = back_up(database(fresh), fresh.folder / "backup.db")
        os.truncate(database(fresh), 0)
        os.truncate(log_of(database(fresh))[0], 0)
        assert fresh.post("two").status_code == 200
        wait_until(lambda: "the database is unavailable, calls wait" in reasons(fresh))
        backup.replace(database(fresh))
        wait_until(lambda: sessions(fresh) == {"one", "two"})
        assert_sound(fresh, "one", "two")


def test_another_ledger_gets_none_of_the_calls(fresh: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "other", fresh.upstream_url)
    other.folder.mkdir()
    with other:
        record(other, "theirs")
    with fresh:
        record(fresh, "ours")
        away = database(fresh).rename(fresh.folder / "away.db")
        shutil.copy(database(other), database(fresh))
        wait_until(lambda: sessions(fresh) == {"theirs"})
        assert fresh.post("during").status_code == 200
        wait_until(lambda: "is that of another ledger" in reasons(fresh))
        away.replace(database(fresh))
        wait_until(lambda: sessions(fresh) == {"ours", "during"})
        assert_sound(fresh, "ours", "during")


@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2), slice(0, 2)])
def test_a_log_that_is_deleted_loses_nothing(fresh: Ledger, which: slice) -> None:
    with fresh:
        record(fresh, "one", "two")
        for path in log_of(database(fresh))[which]:
            path.unlink()
        assert fresh.post("three").status_code == 200
        fresh.stop()
    with fresh:
        wait_until(lambda: sessions(fresh) == {"one", "two", "three"})
        assert_sound(fresh, "one", "two", "three")


def test_a_restored_postgresql_gets_what_the_spool_holds(fresh: Ledger, postgresql: str) -> None:
    dsn = fresh.env["AGENTLEDGER_DSN"] = create_database(postgresql)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]

    def alone(*statements: str) -> Callable[[], bool]:
        """With nobody connected to it, who would connect again at once."""

        def run() -> bool:
            with psycopg.connect(postgresql, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = %s AND pid <> pg_backend_pid()",
                    [name],
                )
                try:
                    for statement in statements:
                        connection.execute(statement)
                except psycopg.errors.ObjectInUse:
                    return False
            return True

        return run

    with fresh:
        record(fresh, "one")
        wait_until(alone(f"CREATE DATABASE {name}_backup TEMPLATE {name}"))
        record(fresh, "two")
        wait_until(alone(f"DROP DATABASE {name} WITH (FORCE)"))
        assert fresh.post("three").status_code == 200
        wait_until(lambda: "the database is unavailable, calls wait" in reasons(fresh))
        wait_until(alone(f"ALTER DATABASE {name}_backup RENAME TO {name}"))
        wait_until(lambda: sessions(fresh) == {"one", "two", "three"})
    assert os.listdir(fresh.spool)
