"""A clock that is set back: what came later still counts as later."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from capture.exchange import new_action_id
from capture.spool.folder import Folder
from capture.spool.reader import Reader
from capture.spool.writer import Writer
from tests.support import canned
from tests.support.ledger import PROJECT, Ledger, wait_until
from tests.support.provider import Provider

HOUR_S, DAY_S = 3600, 86400


@pytest.fixture
def clock(fresh: Ledger, tmp_path: Path) -> Path:
    """A file with the seconds by which the ledger's clock is ahead."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    fresh.env |= {
        "PYTHONPATH": f"{PROJECT / 'tests' / 'support' / 'clock'}:{PROJECT}",
        "TEST_CLOCK": str(clock),
    }
    return clock


def set_to(clock: Path, ahead_s: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(str(ahead_s))
    new.replace(clock)


def delete(ledger: Ledger, session: str) -> None:
    assert httpx.delete(f"{ledger.url}/api/sessions/{session}").status_code == 204


def contents(ledger: Ledger, session: str) -> list[str]:
    response = ledger.get(f"/session/{session}")
    calls = response.json() if response.status_code == 200 else []
    return [call["messages"][0]["content"] for call in calls]


@pytest.mark.parametrize("step_s", [HOUR_S, DAY_S])
def test_calls_after_a_deletion_are_recorded_whatever_the_clock_says(
    fresh: Ledger, clock: Path, step_s: int
) -> None:
    with fresh:
        fresh.post("s", content="before")
        fresh.call("s")
        delete(fresh, "s")
        set_to(clock, -step_s)
        fresh.post("s", content="after")
        wait_until(lambda: contents(fresh, "s") == ["after"])
    with fresh:
        fresh.post("s", content="after a restart")
        wait_until(lambda: contents(fresh, "s") == ["after", "after a restart"])


def test_a_call_that_was_running_is_deleted_whatever_the_clock_says(
    fresh: Ledger, clock: Path, provider: Provider
) -> None:
    with fresh:
        fresh.post("s", content="before")
        fresh.call("s")
        provider.response(["sleep", 1.5], *canned.as_json(canned.chat("late")))
        set_to(clock, HOUR_S)
        with ThreadPoolExecutor() as pool:
            running = pool.submit(fresh.post, "s", content="running")
            wait_until(lambda: len(provider.requests()) == 2)
            set_to(clock, 0)
            delete(fresh, "s")
        assert running.result().status_code == 200
        provider.reset()
        fresh.post("s", content="after")
        wait_until(lambda: contents(fresh, "s") == ["after"])


def test_segments_sort_by_who_wrote_first(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    later = "f" * 16  # as a clock that is far ahead gives it
    folder.segment_path(f"{later[:15]}e0000", 1).touch()
    writer = Writer(folder, max_bytes=1 << 30)
    writer.close()
    assert [name.writer for name in folder.segments()][-1] == writer.id


def test_a_file_is_not_abandoned_because_the_clock_was_set_forward(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    body = folder.body_path(new_action_id())
    body.write_bytes(b"as it arrives")
    os.utime(body, (0, 0))
    Reader(folder, {}).sweep()
    assert body.exists()
