"""`manage.py runproxy`: how it starts, refuses to start, and stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from agentledger_site.database import BUSY_TIMEOUT_S
from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import COMMANDS, Ledger, wait_until
from tests.support.load import locked
from tests.support.provider import Provider

CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
SLOW = canned.data_events(canned.chat_chunks(["One ", "two ", "three"]))
STOPS = [signal.SIGTERM, signal.SIGINT]


def stream(ledger: Ledger, heard: list[bytes], session: str = "slow") -> None:
    """Read a call's answer to its end, or to where it is cut."""
    headers = {"x-agentledger-session-id": session}
    url = f"{ledger.url}/v1/chat/completions"
    try:
        with httpx.stream("POST", url, json=CALL, headers=headers, timeout=30) as response:
            heard.extend(response.iter_raw())
    except httpx.RemoteProtocolError:
        heard.append(b"<cut>")


def start_stream(ledger: Ledger) -> tuple[threading.Thread, list[bytes]]:
    heard: list[bytes] = []
    thread = threading.Thread(target=stream, args=(ledger, heard))
    thread.start()
    wait_until(lambda: heard)
    return thread, heard


def refusal(ledger: Ledger) -> tuple[int, list[str]]:
    """The exit status and what was said on standard error, of a start that cannot be."""
    process = subprocess.run(
        [*COMMANDS["daphne"], *ledger.arguments],
        cwd=ledger.folder,
        env=ledger.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return process.returncode, process.stderr.splitlines()


# --- starting ---


def test_it_says_what_it_serves(ledger: Ledger) -> None:
    said = ledger.log.read_text()
    for line in (
        f"Dashboard           {ledger.url}/",
        f"OpenAI base URL     {ledger.url}/v1",
        f"Anthropic base URL  {ledger.url}",
        f"Upstream default    {ledger.upstream_url}",
        "Database            sqlite:///agentledger.db",
        "API key             not set",
    ):
        assert line in said


def test_it_says_that_a_key_is_set_and_no_password(fresh: Ledger, postgresql: str) -> None:
    uri = create_database(postgresql).replace("postgres:@", "postgres:secret@")
    for dsn in (uri, uri.replace("postgres:secret@", "") + "&user=postgres&password=secret"):
        fresh.env |= {"AGENTLEDGER_API_KEY": "k-123", "AGENTLEDGER_DSN": dsn}
        with fresh:
            said = fresh.log.read_text()
        assert "API key             set" in said
        assert "Database            postgresql://" in said
        assert "secret" not in said
        assert "k-123" not in said


def test_the_demo_plays_a_run_of_three_agents(fresh: Ledger) -> None:
    fresh.arguments = ("--demo",)
    with fresh:
        wait_until(lambda: "demo: done" in fresh.log.read_text())
        calls = fresh.calls("demo-run", count=7)
    assert {call["agent_name"] for call in calls} == {"orchestrator", "researcher", "writer"}
    formats = {"anthropic_messages", "openai_chat", "openai_responses"}
    assert {call["wire_format"] for call in calls} == formats
    assert [call["outcome"] for call in calls].count("upstream_error") == 1
    [asked] = [call for call in calls if call["tool_calls"]]
    assert asked["tool_results"][0]["tool_call_id"] == asked["tool_calls"][0]["id"]
    first = calls[0]["action_id"]
    assert {c["parent_action_id"] for c in calls if c["agent_name"] == "researcher"} == {first}


# --- refusing to start ---


def test_a_port_in_use_is_reported_in_one_line(fresh: Ledger) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fresh.env["AGENTLEDGER_PORT"] = str(port)
        status, [line] = refusal(fresh)
    assert status == 1
    assert f"port {port}" in line
    assert "AGENTLEDGER_PORT" in line


@pytest.mark.parametrize("path", ["missing/folder/ledger.db", "folder", "garbage.db"])
def test_a_sqlite_file_that_cannot_work_is_reported_in_one_line(fresh: Ledger, path: str) -> None:
    (fresh.folder / "folder").mkdir()
    (fresh.folder / "garbage.db").write_bytes(b"not a database" * 1000)
    fresh.env |= {"AGENTLEDGER_DSN": f"sqlite:///{path}", "AGENTLEDGER_SPOOL_DIR": "spool"}
    status, [line] = refusal(fresh)
    assert status == 1
    assert path in line


def test_a_postgresql_database_that_does_not_exist_is_reported_in_one_line(
    fresh: Ledger, postgresql: str
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = postgresql.replace("/postgres?", "/no_such_database?")
    status, [line] = refusal(fresh)
    assert status == 1
    assert "no_such_database" in line


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://127.0.0.1:bad/db?password=hidden",
        "postgresql://localhost:bad/db?password=hidden",
        "postgresql://u:hidden@127.0.0.1:99999/db",
        "postgresql://u:hidden@127.0.0.1:1/db?sslmode=odd",
        "postgresql://u:word/hidden@127.0.0.1:1/db",
    ],
)
def test_a_postgresql_uri_that_can_never_work_is_reported_in_one_line(
    fresh: Ledger, dsn: str
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = dsn
    status, [line] = refusal(fresh)
    assert status == 1
    assert "127.0.0.1" in line or "localhost" in line
    assert "hidden" not in line


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """As a disk is that is mounted so: root may write where permissions forbid it."""
    bind = ["mount", "--bind", str(path), str(path)]
    if os.getuid() != 0 or subprocess.run(bind, capture_output=True).returncode != 0:
        pytest.skip("a read-only file can only be mounted by root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_sqlite_file_that_takes_no_writes_is_reported_in_one_line(fresh: Ledger) -> None:
    fresh.start().stop()  # its tables are there
    path = fresh.folder / "agentledger.db"
    with read_only(path):
        status, [line] = refusal(fresh)
    assert status == 1
    assert "agentledger.db" in line
    assert "readonly" in line


def test_a_sqlite_file_that_another_program_holds_does_not_stop_the_start(fresh: Ledger) -> None:
    fresh.start().stop()
    with locked(fresh.folder / "agentledger.db"):
        begin = time.monotonic()
        fresh.start()
        assert time.monotonic() - begin < BUSY_TIMEOUT_S
        response = fresh.post()
    call = fresh.call("s")
    fresh.stop()
    assert call["action_id"] == response.headers["x-agentledger-action-id"]


def test_a_spool_folder_that_cannot_be_written_is_reported_in_one_line(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_SPOOL_DIR"] = "/proc/spool"
    status, [line] = refusal(fresh)
    assert status == 1
    assert "/proc/spool" in line


def test_a_second_proxy_on_one_spool_gives_up_and_says_why(fresh: Ledger) -> None:
    with fresh:
        fresh.env["AGENTLEDGER_SHUTDOWN_S"] = "0.1"
        status, [line] = refusal(fresh)
    assert status == 1
    assert "another proxy process" in line
    assert str(fresh.spool) in line


# --- stopping ---


@pytest.mark.parametrize("number", STOPS)
def test_a_running_call_ends_before_the_process_does(
    fresh: Ledger, provider: Provider, number: int
) -> None:
    provider.response(*canned.stream(SLOW, pause=0.3))
    fresh.start()
    thread, heard = start_stream(fresh)
    assert fresh.stop(number) == 0
    thread.join()
    assert b"".join(heard).endswith(b"data: [DONE]\n\n")
    with fresh:
        call = fresh.call("slow")
    assert (call["outcome"], call["content"]) == ("completed", "One two three")


def test_a_call_that_does_not_end_is_interrupted_after_its_time(
    fresh: Ledger, provider: Provider
) -> None:
    provider.response(*canned.stream(SLOW[:2])[:-1], canned.HANG)
    fresh.env["AGENTLEDGER_SHUTDOWN_S"] = "0.5"
    fresh.start()
    thread, heard = start_stream(fresh)
    assert fresh.stop() == 0
    thread.join()
    assert heard[-1] == b"<cut>"
    with fresh:
        call = fresh.call("slow")
    assert (call["outcome"], call["content"]) == ("interrupted", "One ")
    assert "AgentLedger stopped" in call["error_detail"]


def test_a_restart_may_overlap(fresh: Ledger, provider: Provider, tmp_path: Path) -> None:
    provider.response(*canned.stream(SLOW, pause=0.5))
    fresh.start()
    thread, heard = start_stream(fresh)
    assert fresh.process is not None
    fresh.process.terminate()
    successor = Ledger(fresh.folder, fresh.upstream_url)
    with successor:
        thread.join()
        assert fresh.process.wait(60) == 0
        provider.reset()
        stream(successor, [], session="next")
        assert successor.call("slow")["outcome"] == "completed"
        assert successor.call("next")["outcome"] == "completed"
