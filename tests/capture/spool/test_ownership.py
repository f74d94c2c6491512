"""A spool names the ledger that its calls belong to, and another ledger's are left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import create_database
from tests.site.test_runproxy import refusal
from tests.support.ledger import Ledger, wait_until


def leave_a_call(ledger: Ledger, session: str) -> None:
    """A call that was answered, and that no recorder saw: proxy and recorder are killed."""
    with ledger:
        recorder = ledger.recorder()
        wait_until(lambda: ledger.get("/readyz").json()["recorder"]["state"] == "recording")
        recorder.send_signal(signal.SIGSTOP)
        assert ledger.post(session).status_code == 200
        ledger.kill()
        recorder.kill()
        wait_until(lambda: not recorder.is_running())


def names(ledger: Ledger) -> set[str]:
    return {session["session_id"] for session in ledger.sessions()}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_calls_of_another_ledger_wait_for_it(
    fresh: Ledger, kind: str, request: pytest.FixtureRequest
) -> None:
    def dsn(name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{name}.db"
        return create_database(request.getfixturevalue("postgresql"))

    first, second = dsn("first"), dsn("second")
    fresh.env |= {"AGENTLEDGER_SPOOL_DIR": "spool"}
    fresh.env["AGENTLEDGER_DSN"] = first
    leave_a_call(fresh, "of the first")
    fresh.env["AGENTLEDGER_DSN"] = second
    with fresh:
        fresh.post("of the second")
        wait_until(lambda: names(fresh) == {"of the second"})
    [line] = [one for one in fresh.log.read_text().splitlines() if "another ledger" in one]
    assert "left alone" in line
    assert "AGENTLEDGER_SPOOL_DIR" in line
    assert str(fresh.folder / "spool" / "ledger.json") in line
    fresh.env["AGENTLEDGER_DSN"] = first
    with fresh:
        wait_until(lambda: names(fresh) == {"of the first"})


def test_calls_of_another_ledger_can_be_adopted(fresh: Ledger) -> None:
    fresh.env |= {"AGENTLEDGER_SPOOL_DIR": "spool", "AGENTLEDGER_DSN": "sqlite:///first.db"}
    leave_a_call(fresh, "of the first")
    (fresh.folder / "spool" / "ledger.json").unlink()
    fresh.env["AGENTLEDGER_DSN"] = "sqlite:///second.db"
    with fresh:
        wait_until(lambda: names(fresh) == {"of the first"})


def test_a_new_file_takes_the_calls_of_the_one_that_was_deleted(fresh: Ledger) -> None:
    fresh.is_new = True
    leave_a_call(fresh, "left")
    for path in fresh.folder.glob("agentledger.db*"):
        path.unlink()
    with fresh:
        wait_until(lambda: names(fresh) == {"left"})


def test_a_second_database_in_a_folder_says_at_once_what_is_in_its_way(
    fresh: Ledger, tmp_path: Path
) -> None:
    with fresh:
        assert fresh.process is not None
        second = Ledger(fresh.folder, fresh.upstream_url)
        second.env["AGENTLEDGER_DSN"] = "sqlite:///second.db"
        began = time.monotonic()
        status, [line] = refusal(second)
        assert time.monotonic() - began < 30  # it was 41 and a start
    assert status == 1
    assert f"pid {fresh.process.pid}, with the database sqlite:///" in line
    assert os.path.join(fresh.folder, "agentledger.db") in line
    assert "AGENTLEDGER_SPOOL_DIR" in line
