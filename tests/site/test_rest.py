"""What all processes together cost while nobody calls."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from tests.conftest import running_on
from tests.support.ledger import Ledger, wait_until

SECONDS = 10.0
MAX_MS_A_SECOND = 10.0


@pytest.fixture(params=["daphne-sqlite", "uvicorn-sqlite", "daphne-postgresql"])
def at_rest(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    with running_on(request.param, request) as ledger:
        ledger.post("s").raise_for_status()
        wait_until(lambda: follows(ledger))
        yield ledger


def follows(ledger: Ledger) -> bool:
    sinks = ledger.get("/readyz").json()["sinks"]
    return bool(sinks) and all(sink["seq"] >= 1 for sink in sinks)


def cpu_s(ledger: Ledger) -> float:
    assert ledger.process is not None
    processes = [psutil.Process(ledger.process.pid), *ledger.children()]
    times = [process.cpu_times() for process in processes]
    return float(sum(one.user + one.system for one in times))


def test_all_processes_together_take_a_hundredth_of_a_core(at_rest: Ledger) -> None:
    time.sleep(2.0)  # what follows a call ends
    before = cpu_s(at_rest)
    time.sleep(SECONDS)
    assert (cpu_s(at_rest) - before) * 1e3 / SECONDS <= MAX_MS_A_SECOND
