"""Which users of the machine may read what AgentLedger keeps: its owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """A process inherits what most systems set: files are readable to all."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if not path.name.startswith("log")
    }


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_all_that_is_made_is_closed_to_other_users(
    provider: Provider, tmp_path: Path, usual_umask: None, server: str
) -> None:
    ledger = Ledger(
        tmp_path,
        provider.url,
        server="uvicorn" if server == "uvicorn" else "daphne",
        env={"AGENTLEDGER_SPOOL_DIR": str(tmp_path / "made" / "spool")},
        is_new=True,
    )
    with ledger:
        ledger.post("s", content="x" * 2_000_000)  # a body in a file of its own
        ledger.call("s")
        made = ledger.command("token", "create", "t", "--role", "ingest")
        assert made.returncode == 0, made.stderr
        spool = tmp_path / "made" / "spool"
        wait_until(lambda: (spool / "ingest-tokens.json").exists())
        wait_until(lambda: (spool / "sinks.json").exists())
        found = modes(tmp_path)
    assert {"agentledger.db", "agentledger.db-wal", "agentledger.db-shm"} <= found.keys()
    assert {"made", "made/spool", "made/spool/recorder.json"} <= found.keys()
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_existing_files_are_closed_to_all_but_their_group(fresh: Ledger, usual_umask: None) -> None:
    with fresh:
        assert fresh.post("s").status_code == 200
        fresh.call("s")
    database, state = fresh.folder / "agentledger.db", fresh.spool / "recorder.json"
    mine = fresh.spool / "notes.txt"
    mine.write_text("not AgentLedger's")
    for path in (database, state, mine):
        path.chmod(0o646)
    (fresh.spool / "sinks.json").touch()
    (fresh.spool / "sinks.json").chmod(0o604)
    with fresh:
        found = modes(fresh.folder)
    assert found["agentledger.db"] == 0o640
    assert found["agentledger-spool/notes.txt"] == 0o646
    del found["agentledger-spool/notes.txt"]
    assert {name for name, mode in found.items() if mode & 0o007} == set()
    warnings = [line for line in fresh.log.read_text().splitlines() if "group may use" in line]
    assert len(warnings) == 1
    assert f"{database} and 1 more files: remove that with chmod g=" in warnings[0]
