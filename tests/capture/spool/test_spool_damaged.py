"""Records that were cut or overwritten: all other calls are recorded, and what is left of these."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from capture.spool import frames
from tests.support.ledger import Ledger
from tests.support.load import locked
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def spooled(
    _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The folder of a ledger that was killed: its spool has three answered calls that no recorder
    has seen. Their ids."""
    _provider.reset()
    ledger = Ledger(tmp_path_factory.mktemp("spooled"), _provider.url)
    with ledger:
        ledger.post(session="first")
        ledger.calls("first")
        with locked(ledger.folder / "agentledger.db"):
            responses = [ledger.post() for _ in range(3)]
            ledger.recorder().kill()
            ledger.kill()
    return ledger.folder, [response.headers["x-agentledger-action-id"] for response in responses]


@pytest.fixture
def segment(fresh: Ledger, spooled: tuple[Path, list[str]]) -> Path:
    """Their segment of the spool, in the folder of a ledger that is not yet started."""
    nothing_to_read = shutil.ignore_patterns("doorbell")  # a named pipe
    shutil.copytree(spooled[0], fresh.folder, ignore=nothing_to_read, dirs_exist_ok=True)
    [segment] = fresh.spool.glob("*.spool")
    return segment


@pytest.fixture
def action_ids(spooled: tuple[Path, list[str]]) -> list[str]:
    return spooled[1]


def frames_of(segment: Path) -> list[frames.Frame]:
    view = memoryview(segment.read_bytes())
    found, position = [], 0
    while frame := frames.frame_at(view, position, 0):
        found.append(frame)
        position = frame.end
    assert position == len(view)
    return found


def assert_recorded(ledger: Ledger, action_ids: list[str]) -> list[dict[str, object]]:
    with ledger:
        return [ledger.explain(action_id) for action_id in action_ids]


def test_a_truncated_record_loses_no_call(
    fresh: Ledger, segment: Path, action_ids: list[str]
) -> None:
    os.truncate(segment, frames_of(segment)[-1].end - 5)
    calls = assert_recorded(fresh, action_ids)
    assert [call["outcome"] for call in calls] == ["completed"] * 3


@pytest.mark.parametrize("kind", [k for k in frames.Kind if k != frames.Kind.SEGMENT])
def test_a_corrupted_record_loses_no_call(
    fresh: Ledger, segment: Path, action_ids: list[str], kind: frames.Kind
) -> None:
    damaged = [f for f in frames_of(segment) if f.kind == kind][-2]  # the second call's
    with segment.open("r+b") as file:
        file.seek(damaged.end - 3)
        file.write(b"\xff\xff\xff")
    first, second, third = assert_recorded(fresh, action_ids)
    assert [first["outcome"], third["outcome"]] == ["completed", "completed"]
    assert first["notes"] is third["notes"] is None
    if kind != frames.Kind.END:  # an end that is lost leaves no mark on the call
        assert second["notes"]
    assert list((fresh.spool / "quarantine").glob("*.gap"))


def test_garbage_between_records_loses_no_call(
    fresh: Ledger, segment: Path, action_ids: list[str]
) -> None:
    whole = segment.read_bytes()
    second = [f for f in frames_of(segment) if f.kind == frames.Kind.BEGIN][-2]
    garbage = frames.MARK + os.urandom(1000) + frames.MARK
    segment.write_bytes(whole[: second.start] + garbage + whole[second.start :])
    calls = assert_recorded(fresh, action_ids)
    assert [call["outcome"] for call in calls] == ["completed"] * 3
