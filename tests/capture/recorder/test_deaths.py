"""A call that kills whoever parses it: it is recorded as its raw facts, and the others in full."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import create_database
from tests.support.ledger import Ledger, wait_until
from tests.support.load import locked

MB = 1024 * 1024
SESSION = {"x-agentledger-session-id": "s"}


def post_large(ledger: Ledger, size: int = 6 * MB) -> str:
    """A call whose request alone is worth a process of its own; its id."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * size}]}
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions", json=body, headers=SESSION, timeout=60
    )
    assert response.status_code == 200
    return response.headers["x-agentledger-action-id"]


def data_of(process: psutil.Process) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[5]) * resource.getpagesize()


def limit_memory(process: psutil.Process, more: int) -> None:
    """Lets the process and its children have this much more than it has."""
    limit = data_of(process) + more
    resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))


def process_apart(ledger: Ledger) -> psutil.Process:
    """The process that records a call alone, once there is one."""
    recorder = ledger.recorder()

    def child() -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):
            return next(iter(recorder.children()), None)
        return None

    found: psutil.Process = wait_until(child)
    return found


def kill_apart(ledger: Ledger) -> None:
    child = process_apart(ledger)
    child.kill()
    wait_until(lambda: not child.is_running())


def is_settled(ledger: Ledger) -> bool:
    return not [path for path in ledger.spool.iterdir() if path.suffix in (".carried", ".requeued")]


def assert_raw(call: dict[str, Any], reason: str) -> None:
    assert (call["outcome"], call["status_code"], call["usage_source"]) == (
        "completed",
        200,
        "none",
    )
    assert call["request_bytes"] > MB
    assert call["response_bytes"] > 0
    assert len(call["request_sha256"]) == len(call["response_sha256"]) == 64
    assert call["messages"] is None
    [note] = call["notes"]
    assert reason in note
    assert f"requeue {call['action_id']}" in note


def figures(ledger: Ledger) -> dict[str | None, tuple[int, int]]:
    """Calls and input tokens by model, from the rollups."""
    response = ledger.get("/api/analytics?by=model").raise_for_status().json()
    groups = response["groups"]
    return {one["model_id"]: (one["call_count"], one["tokens_in"]) for one in groups}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_call_that_needs_too_much_memory_is_raw_until_it_is_requeued(
    fresh: Ledger, request: pytest.FixtureRequest, database: str
) -> None:
    if database == "postgresql":
        fresh.env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with fresh:
        fresh.post(content="first")
        [before] = fresh.calls("s")
        limit_memory(fresh.recorder(), 12 * MB)
        with contextlib.ExitStack() as stack:
            if database == "sqlite":
                stack.enter_context(locked(fresh.folder / "agentledger.db"))
            large = post_large(fresh, 20 * MB)
            fresh.post(content="last")
        calls = {call["action_id"]: call for call in fresh.calls("s", count=3)}
        assert_raw(calls[large], "memory")
        assert [c["content"] for c in calls.values() if c["action_id"] != large] == [
            "echo: first",
            "echo: last",
        ]
        ready = fresh.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["quarantine"] == {"calls": 1, "damaged": 0}
        assert "requeue --list" in str(ready.json()["reasons"])
        listed = fresh.command("requeue", "--list").stdout
        assert large in listed
        assert "20.0 MB" in listed
        assert "memory" in listed

        fresh.recorder().kill()  # the next one has no such limit
        done = fresh.command("requeue", large)
        assert "1 call is back in the spool" in done.stdout
        wait_until(lambda: fresh.explain(large)["notes"] is None)
        call = fresh.explain(large)
        assert len(call["messages"][0]["content"]) == 20 * MB
        assert call["usage_source"] == "provider"
        [session] = fresh.sessions()
        assert session["call_count"] == 3
        assert session["total_tokens_in"] == 3 * before["tokens_in"]
        assert session["error_count"] == 0
        assert figures(fresh) == {"m": (3, 3 * before["tokens_in"])}
        wait_until(lambda: fresh.get("/readyz").json()["quarantine"]["calls"] == 0)
        assert "No call is set aside" in fresh.command("requeue").stdout
        assert not any((fresh.spool / "quarantine").iterdir())


def test_a_process_apart_that_is_killed_twice_gives_its_call_up(fresh: Ledger) -> None:
    with fresh:
        with locked(fresh.folder / "agentledger.db"):
            large = post_large(fresh)
            kill_apart(fresh)
            kill_apart(fresh)
            fresh.post(content="last")
        raw, last = fresh.calls("s", count=2)
        assert raw["action_id"] == large
        assert_raw(raw, "killed")
        assert last["content"] == "echo: last"


def test_a_process_apart_that_is_killed_once_does_not_matter(fresh: Ledger) -> None:
    with fresh:
        with locked(fresh.folder / "agentledger.db"):
            post_large(fresh)
            kill_apart(fresh)
            process_apart(fresh)
        call = fresh.call("s")
    assert call["notes"] is None
    assert not (fresh.spool / "quarantine").exists()


def kill_recorder(ledger: Ledger, *, was_asked: bool = False) -> None:
    """As the system does where memory is short: the recorder and its process apart at once."""
    recorder = ledger.recorder()
    child = process_apart(ledger)
    if was_asked:
        recorder.send_signal(signal.SIGTERM)
        wait_until((ledger.spool / "stop-asked").exists)
    recorder.kill()
    child.kill()
    psutil.wait_procs([recorder], 60)


@pytest.mark.parametrize("was_asked", [False, True], ids=["by itself", "as asked"])
def test_deaths_count_unless_we_asked_for_them(fresh: Ledger, was_asked: bool) -> None:
    with fresh:
        with locked(fresh.folder / "agentledger.db"):
            large = post_large(fresh)
            kill_recorder(fresh, was_asked=was_asked)
            kill_recorder(fresh, was_asked=was_asked)
            if was_asked:
                process_apart(fresh)
        call = fresh.explain(large)
        if was_asked:
            assert call["notes"] is None
        else:
            assert_raw(call, "died")


def test_calls_that_were_recorded_together_when_it_died_are_tried_one_by_one(fresh: Ledger) -> None:
    with fresh:
        fresh.post(content="0")
        fresh.call("s")
        with locked(fresh.folder / "agentledger.db"):
            for number in range(1, 5):
                fresh.post(content=str(number))
            for _ in range(3):
                wait_until(lambda: batch_of(fresh))
                recorder = fresh.recorder()
                recorder.kill()
                psutil.wait_procs([recorder], 60)
        calls = fresh.calls("s", count=5)
    assert [call["content"] for call in calls] == [f"echo: {number}" for number in range(5)]
    assert {str(call["notes"]) for call in calls} == {"None"}


def batch_of(ledger: Ledger) -> list[str]:
    note = json.loads((ledger.spool / "attempts").read_bytes().partition(b"\n")[0])
    batch: list[str] = note["batch"]
    return batch


def test_a_killed_recorder_leaves_its_process_apart_to_end_its_work(fresh: Ledger) -> None:
    with fresh:
        with locked(fresh.folder / "agentledger.db"):
            post_large(fresh)
            process_apart(fresh)
            os.kill(fresh.recorder().pid, signal.SIGKILL)
        assert fresh.call("s")["notes"] is None


def test_a_call_that_was_deleted_is_not_requeued(fresh: Ledger) -> None:
    with fresh:
        with locked(fresh.folder / "agentledger.db"):
            large = post_large(fresh)
            kill_apart(fresh)
            kill_apart(fresh)
        raw = fresh.explain(large)
        assert raw["notes"]
        assert fresh.command("requeue", "--list").stdout.count(large) == 1
        fresh.recorder().send_signal(signal.SIGSTOP)
        fresh.command("requeue", "--all")
        assert httpx.delete(f"{fresh.url}/api/calls/{large}").status_code == 204
        fresh.recorder().send_signal(signal.SIGCONT)
        wait_until(lambda: not list(fresh.spool.glob("*.requeued")))
        assert fresh.get(f"/explain/{large}").status_code == 404
        assert fresh.sessions() == []
