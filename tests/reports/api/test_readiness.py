"""/readyz asks whether calls are recorded, not whether the recorder exists."""

from __future__ import annotations

import signal
from typing import Any

import psutil
import pytest

from reports.api import readiness
from tests.support.ledger import Ledger, wait_until


def ready(ledger: Ledger) -> Any:
    response = ledger.get("/readyz")
    assert response.status_code == 200
    return response.json()


def test_a_recorder_that_keeps_ending_is_told(fresh: Ledger) -> None:
    with fresh:
        fresh.post()
        fresh.call("s")
        assert ready(fresh)["ingest"] == "recording"
        for _ in range(3):
            recorder = fresh.recorder()
            recorder.kill()
            psutil.wait_procs([recorder], 60)
        found = wait_until(lambda: (now := ready(fresh))["ingest"] == "restarting" and now)
        assert found["status"] == "degraded"
        assert "the recorder has ended 3 times" in str(found["reasons"])
        assert "code -9" in str(found["reasons"])


@pytest.mark.soak
def test_a_recorder_that_hangs_is_told(fresh: Ledger) -> None:
    with fresh:
        fresh.post()
        fresh.call("s")
        recorder = fresh.recorder()
        recorder.send_signal(signal.SIGSTOP)
        fresh.post()
        patience_s = readiness.STUCK_AFTER_S + 60
        found = wait_until(
            lambda: (now := ready(fresh))["ingest"] == "stuck" and now, deadline_s=patience_s
        )
        assert found["status"] == "degraded"
        assert "none was recorded for" in str(found["reasons"])
        recorder.send_signal(signal.SIGCONT)
        wait_until(lambda: ready(fresh)["ingest"] == "recording")
        fresh.calls("s", count=2)


def test_states_that_cannot_be_written_stop_neither_recorder_nor_sinks(fresh: Ledger) -> None:
    with fresh:
        fresh.post()
        fresh.call("s")
        processes = {fresh.recorder(), fresh.sinks()}
        for name in ("recorder.new", "sinks.new"):
            (fresh.spool / name).mkdir()
        fresh.post()
        fresh.calls("s", count=2)
        wait_until(lambda: b"the sinks' state cannot be written" in fresh.log.read_bytes())
        assert {fresh.recorder(), fresh.sinks()} == processes
