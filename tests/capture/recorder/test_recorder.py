"""The recorder as a process: calls that it cannot record, and when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import httpx

from capture.exchange import new_action_id
from capture.spool.folder import Folder
from capture.spool.frames import Kind
from capture.spool.writer import Writer
from tests.capture.spool.test_spool import head, write_call
from tests.support.ledger import Ledger, wait_until


def write_spool(folder: Path) -> list[UUID]:
    """A left-over spool: two good calls, and between them one whose head cannot be read."""

    async def write() -> list[UUID]:
        spool = Folder(folder)
        spool.prepare()
        writer = Writer(spool, max_bytes=1 << 30)
        ids = [new_action_id() for _ in range(3)]
        body = b'{"model": "m", "messages": []}'
        write_call(writer.begin(ids[0], head(), body), [b'{"choices": []}'])
        writer.append(ids[1].bytes, 0, (Kind.BEGIN, b"\0\0\0\4nope{}"), (Kind.END, b"nor this"))
        write_call(writer.begin(ids[2], head(), body), [b'{"choices": []}'])
        writer.close()
        return ids

    return asyncio.run(write())


def test_a_call_whose_records_say_nothing_is_recorded_as_damaged(fresh: Ledger) -> None:
    first, odd, third = write_spool(fresh.spool)
    with fresh:
        assert {c["action_id"] for c in fresh.calls("s", count=2)} == {str(first), str(third)}
        call = fresh.explain(str(odd))
        readiness = fresh.get("/readyz")
    assert (call["outcome"], call["session_id"]) == ("interrupted", None)
    assert call["notes"] == [
        "some of this call's records in the spool were damaged",
        "the request's body was lost",
    ]
    assert readiness.status_code == 200
    assert readiness.json()["status"] == "degraded"
    assert "2 damaged parts of the spool" in readiness.json()["reasons"][0]
    kept = {path.read_bytes() for path in (fresh.spool / "quarantine").iterdir()}
    assert kept == {b"\0\0\0\4nope{}", b"nor this"}


def test_a_left_over_spool_can_be_recorded_without_a_proxy(fresh: Ledger) -> None:
    write_spool(fresh.spool)
    recorder = subprocess.Popen(
        [sys.executable, "-m", "django", "runrecorder"],
        cwd=fresh.folder,
        env={**fresh.environment(), "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"},
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: not list(fresh.spool.glob("*.spool")))
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(60) == 0
    with fresh:
        assert fresh.n_recorded() == 2


def test_the_recorder_drains_the_spool_and_ends_when_the_proxy_dies(fresh: Ledger) -> None:
    fresh.start()
    recorder = fresh.recorder()
    wait_until(lambda: fresh.get("/readyz").json()["recorder"]["state"] == "recording")
    os.kill(recorder.pid, signal.SIGSTOP)
    body = {"model": "m", "messages": []}
    headers = {"x-agentledger-session-id": "s"}
    for _ in range(5):
        httpx.post(f"{fresh.url}/v1/chat/completions", json=body, headers=headers)
    fresh.kill()
    os.kill(recorder.pid, signal.SIGCONT)
    recorder.wait(60)
    assert not list(fresh.spool.glob("*.spool"))
    with fresh:
        assert len(fresh.calls("s", count=5)) == 5


def test_an_idle_recorder_and_an_idle_proxy_use_no_cpu(fresh: Ledger) -> None:
    """Asleep, neither process is scheduled more than its slow clocks say."""
    with fresh:
        httpx.post(f"{fresh.url}/v1/chat/completions", json={"model": "m", "messages": []})
        wait_until(lambda: fresh.get("/readyz").json()["recorder"]["state"] == "recording")
        recorder = fresh.recorder()
        settled = wait_until(lambda: is_idle(recorder.pid))
        assert settled


def is_idle(pid: int) -> bool:
    """True if the process used no CPU for half a second."""

    def used() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    try:
        wait_until(lambda: used() > before, deadline_s=0.5)
    except AssertionError:
        return True
    return False
