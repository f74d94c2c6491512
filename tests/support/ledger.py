"""AgentLedger as its users run it: a process, an address, a folder of its own."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
import psutil

PROJECT = Path(__file__).resolve().parents[2]
ServerName = Literal["daphne", "uvicorn"]
CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}

COMMANDS: dict[str, list[str]] = {
    "daphne": [sys.executable, str(PROJECT / "manage.py"), "runproxy"],
    "uvicorn": [
        *(sys.executable, "-m", "uvicorn", "agentledger_site.asgi:application"),
        *("--port", "0", "--no-date-header", "--no-server-header", "--no-access-log"),
        # A client that reads nothing answers no ping: it would be closed after so many seconds.
        *("--ws-ping-timeout", "3600"),
    ],
}
ADDRESS = re.compile(r"(?:Dashboard +|running on )(http://[^/\s]+)")
DEADLINE_S = 60.0


def wait_until(what: Callable[[], Any], *, deadline_s: float = DEADLINE_S) -> Any:
    """Calls `what` until its result is true, and returns that; fails at the deadline."""
    end = time.monotonic() + deadline_s
    pause_s = 0.02
    while not (found := what()):
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.25, 0.1)  # what takes long is not hurried by more calls
    return found


@cache
def empty_database() -> Path:
    """A SQLite file whose tables are made: to make them takes a fifth of a start."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-"))
    atexit.register(shutil.rmtree, folder)
    make_tables(f"sqlite:///{folder}/empty.db")
    return folder / "empty.db"


def make_tables(dsn: str) -> None:
    subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), "migrate", "--verbosity=0"],
        env={**os.environ, "AGENTLEDGER_DSN": dsn},
        check=True,
    )


@dataclass
class Ledger:
    """Started by `start()`; may be killed and started again over the same folder. With `is_new` it
    makes its tables itself, as a user's first start does."""

    folder: Path
    upstream_url: str
    server: ServerName = "daphne"
    env: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    is_new: bool = False
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AGENTLEDGER_")}
        # Compiled once, for all the processes of all tests.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **inherited,
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "AGENTLEDGER_UPSTREAM_URL": self.upstream_url,
            "AGENTLEDGER_HOST": "127.0.0.1",
            "AGENTLEDGER_PORT": "0",
            **self.env,
        }

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def spool(self) -> Path:
        return self.folder / "agentledger-spool"

    def start(self) -> Ledger:
        database = self.folder / "agentledger.db"
        if not (self.is_new or "AGENTLEDGER_DSN" in self.env or database.exists()):
            shutil.copy(empty_database(), database)
        with self.log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [*COMMANDS[self.server], *self.arguments],
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )
        self.url = wait_until(lambda: self._address(begin))
        return self

    def _address(self, begin: int) -> str | None:
        assert self.process is not None
        text = self.log.read_bytes()[begin:].decode()
        assert self.process.poll() is None, text
        found = ADDRESS.search(text)
        return found[1] if found else None

    def __enter__(self) -> Ledger:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process; its exit status. The recorder of a killed one ends by itself."""
        assert self.process is not None
        children = self.children()
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        psutil.wait_procs(children, DEADLINE_S)
        return status

    def kill(self) -> None:
        """kill -9 of the proxy alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            return list(psutil.Process(self.process.pid).children())
        except psutil.NoSuchProcess:
            return []

    def recorder(self) -> psutil.Process:
        return self._child("runrecorder")

    def sinks(self) -> psutil.Process:
        return self._child("runsinks")

    def _child(self, command: str) -> psutil.Process:
        """The process, once there is one."""

        def found() -> psutil.Process | None:
            for child in self.children():
                try:
                    if command in child.cmdline():
                        return child
                except psutil.Error:
                    continue
            return None

        process: psutil.Process = wait_until(found)
        return process

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`manage.py` with these arguments, in the same folder and environment."""
        return subprocess.run(
            [sys.executable, str(PROJECT / "manage.py"), *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
        )

    # --- calling and reading ---

    def post(self, session: str = "s", *, content: str = "hello") -> httpx.Response:
        """One call, in this session."""
        return httpx.post(
            f"{self.url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": content}]},
            headers={"x-agentledger-session-id": session},
            timeout=30,
        )

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **parameters)

    def sessions(self) -> list[dict[str, Any]]:
        response = self.get("/api/sessions?limit=1000")
        if response.status_code == 503:
            return []
        sessions: list[dict[str, Any]] = response.raise_for_status().json()
        return sessions

    def n_recorded(self) -> int:
        return sum(session["call_count"] for session in self.sessions())

    def calls(self, session_id: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The session's calls once there are `count`, in time order."""

        def found() -> list[dict[str, Any]] | None:
            response = self.get(f"/session/{quote(session_id, safe='')}")
            if response.status_code in (404, 503):
                return None
            calls: list[dict[str, Any]] = response.raise_for_status().json()
            return calls if len(calls) >= count else None

        calls: list[dict[str, Any]] = wait_until(found)
        assert len(calls) == count, [call["action_id"] for call in calls]
        return calls

    def call(self, session_id: str) -> dict[str, Any]:
        [call] = self.calls(session_id)
        return call

    def explain(self, action_id: str) -> dict[str, Any]:
        """One call, once it is recorded."""

        def found() -> dict[str, Any] | None:
            response = self.get(f"/explain/{action_id}")
            return response.json() if response.status_code == 200 else None

        call: dict[str, Any] = wait_until(found)
        return call
