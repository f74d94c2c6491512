"""A batch that the database refuses because of one call: all calls are recorded, each once,
whenever the recorder dies or starts again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from capture.exchange import new_action_id
from capture.spool.folder import Folder
from capture.spool.writer import Writer
from tests.capture.spool.test_spool import head, write_call
from tests.conftest import create_database
from tests.support.ledger import Ledger, wait_until

# The agents of one batch, in the order of their calls.
FIRST, ODD, SLOW, LAST = "first", "odd", "slow", "last"
# The database refuses the call of one of them, and takes its time over that of another.
REFUSE = f"""
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.agent_name = '{ODD}' THEN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END IF;
    IF NEW.agent_name = '{SLOW}' THEN PERFORM pg_sleep(600); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judge BEFORE INSERT ON capture_call FOR EACH ROW EXECUTE FUNCTION judge();
"""
REFUSE_ONLY = f"""
CREATE OR REPLACE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.agent_name = '{ODD}' THEN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
END $$;
"""
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def begin_spool(folder: Path) -> Writer:
    spool = Folder(folder)
    spool.prepare()
    return Writer(spool, max_bytes=1 << 30)


async def write_calls(writer: Writer, *agents: str) -> None:
    for agent in agents:
        ledger = {"agent_name": agent}
        entry = writer.begin(new_action_id(), head(ledger=ledger), b'{"model": "m"}')
        write_call(entry, [b'{"choices": []}'])


@pytest.fixture
def database(fresh: Ledger, postgresql: str) -> Iterator[psycopg.Connection]:
    """That of a ledger which has not started."""
    fresh.env["AGENTLEDGER_DSN"] = create_database(postgresql)
    with psycopg.connect(fresh.env["AGENTLEDGER_DSN"], autocommit=True) as connection:
        connection.execute(REFUSE.encode())
        yield connection


@contextmanager
def recording(ledger: Ledger) -> Iterator[subprocess.Popen[bytes]]:
    """A recorder without a proxy, which is killed in the end."""
    recorder = subprocess.Popen(
        [sys.executable, "-m", "django", "runrecorder"],
        cwd=ledger.folder,
        env={**ledger.environment(), "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield recorder
    finally:
        recorder.kill()
        recorder.wait()


def recorded(database: psycopg.Connection) -> list[str | None]:
    """Returns the agents; None is that of a call whose heads the database refuses, too."""
    rows = database.execute("SELECT agent_name FROM capture_call ORDER BY agent_name")
    return [name for (name,) in rows]


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_a_recorder_killed_within_a_refused_batch_loses_no_call(
    fresh: Ledger, database: psycopg.Connection, loop: asyncio.Runner
) -> None:
    writer = loop.run(begin_spool(fresh.spool))
    loop.run(write_calls(writer, FIRST, ODD, SLOW, LAST))
    writer.close()
    with recording(fresh):
        # The first half is in the ledger, and the second is being written.
        wait_until(lambda: recorded(database) == [FIRST, None])
    database.execute(END_OTHERS.encode())
    database.execute(REFUSE_ONLY.encode())
    with recording(fresh):
        wait_until(lambda: recorded(database) == [FIRST, LAST, SLOW, None])


def test_a_call_that_was_set_aside_stays_so_after_a_restart(
    fresh: Ledger, database: psycopg.Connection, loop: asyncio.Runner
) -> None:
    """Its segment stays while a proxy goes on writing to it."""
    database.execute(REFUSE_ONLY.encode())
    quarantine = fresh.spool / "quarantine"
    writer = loop.run(begin_spool(fresh.spool))
    loop.run(write_calls(writer, FIRST, ODD))
    [segment] = fresh.spool.glob("*.spool")
    with recording(fresh):
        wait_until(lambda: recorded(database) == [FIRST, None] and quarantine.is_dir())
        wait_until(lambda: positions(database) == {segment.name: segment.stat().st_size})
    set_aside = list(quarantine.iterdir())
    assert set_aside
    for path in set_aside:
        path.unlink()
    loop.run(write_calls(writer, LAST))
    with recording(fresh):
        wait_until(lambda: recorded(database) == [FIRST, LAST, None])
    writer.close()
    assert list(quarantine.iterdir()) == []


def positions(database: psycopg.Connection) -> dict[str, int]:
    return dict(database.execute('SELECT segment, "offset" FROM capture_spoolposition').fetchall())
