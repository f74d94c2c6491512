"""Measures reads of `agentic-ledger` 0.15 from PyPI, with the same requests as ours.

    python -m benchmarks.reads --theirs PYTHON [--their-ledger FILE] [--their-calls 1000000]
    python -m benchmarks.reads_theirs PYTHON FILE [--calls 100000]

PYTHON has `agentic-ledger` installed. FILE is its SQLite database; when there is none it is filled,
with conversations like those of `benchmarks.filling`, until it has as many calls or 20 GB: there,
each call keeps its whole history. The second line only fills. One session is deleted in each run.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from uuid import UUID

from benchmarks.client import Client
from benchmarks.support.processes import running
from benchmarks.support.systems import SYSTEMS
from benchmarks.support.texts import texts
from benchmarks.support.traffic import (
    AGENTS,
    APPS,
    DAYS,
    ENVIRONMENTS,
    LONG_CALLS,
    LONG_HISTORY,
    MESSAGE_CHARACTERS,
    MODELS,
    N_USERS,
    SESSIONS_AT_ONCE,
)

[THEIRS] = [system for system in SYSTEMS if system.name == "agentic-ledger-async"]
NO_UPSTREAM = "http://127.0.0.1:9"  # nothing is sent there
MAX_BYTES = 20 * 10**9
PATIENCE_S = 600  # for one response
BUDGET_S = 30  # for one kind of request: fewer repeats where a response takes seconds
# The columns that its proxy fills for such a call.
COLUMNS = (
    *("action_id", "session_id", "timestamp", "model_id", "provider", "messages", "tools"),
    *("content", "tool_calls", "stop_reason", "tokens_in", "tokens_out", "latency_ms"),
    *("user_id", "agent_name", "app_id", "environment", "temperature", "cost_usd", "status_code"),
    *("error_detail", "thread_id", "step_index", "turn_index", "prev_action_id", "run_id"),
    "iteration",
)
INSERT = f"INSERT INTO llm_calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
TOOL_CALLS = [{"id": "call_1", "name": "search", "arguments": '{"query": "what is new"}'}]
# Our path and theirs, by what is read.
READS = {
    "list of sessions": ("/api/sessions?limit=50", "/api/sessions?limit=50"),
    "a session of 500 calls": ("/session/long", "/session/long"),
    "one call": ("/explain/{call}", "/explain/{call}"),
    "search: a frequent word (the)": ("/api/search?q=the", "/api/search?q=the"),
    "search: a rare word": ("/api/search?q=needle000123", "/api/search?q=needle000123"),
    "search: a word that is nowhere": ("/api/search?q=qzxjvwq", "/api/search?q=qzxjvwq"),
}

Call = tuple[object, ...]


class TheirFilling:
    def __init__(self) -> None:
        self.random = Random(1)
        self.texts = texts()
        self.begin = time.time() - DAYS * 86400
        self.n_calls = 0

    def session(self, name: str, n_calls: int) -> Iterator[Call]:
        random = self.random
        at = self.begin + random.random() * DAYS * 86400
        user, app = f"user-{random.randrange(N_USERS)}", random.choice(APPS)
        environment, model = random.choice(ENVIRONMENTS), random.choice(MODELS)
        agents = random.sample(AGENTS, 2)
        tools = json.dumps([{"name": self._text()}])
        thread, run = f"t-{name}", f"auto-run-{random.randbytes(6).hex()}"
        messages: list[str] = []
        before = None
        for number in range(n_calls):
            self.n_calls += 1
            at += random.expovariate(1 / 20)
            for role in ("assistant", "user")[0 if messages else 1 :]:
                messages.append(json.dumps({"role": role, "content": self._text()}))
            del messages[:-LONG_HISTORY]
            failed = random.random() < 0.02
            action_id = str(UUID(bytes=random.randbytes(16), version=4))
            called = json.dumps(TOOL_CALLS) if random.random() < 0.2 else None
            history = f"[{', '.join(messages)}]"
            yield (
                *(action_id, name, at, model, "openai", history, tools, self._text(), called),
                *("tool_calls" if called else "stop", 9000, 300, int(random.lognormvariate(7, 1))),
                *(user, agents[number % 7 == 0], app, environment, 0.2),
                *(random.randrange(1, 10**6) / 10**7, 500 if failed else 200),
                *("upstream error" if failed else None, thread, number + 1, number + 1),
                *(before, run, 1),
            )
            before = action_id

    def _text(self) -> str:
        """Returns some text as `benchmarks.filling` does."""
        begin = self.random.randrange(len(self.texts) - MESSAGE_CHARACTERS)
        text = self.texts[begin : begin + MESSAGE_CHARACTERS]
        return f"{text} needle{self.n_calls:06}" if self.n_calls % 1000 == 123 else text


def fill(python: str, ledger: Path, n_sessions: int, n_calls: int) -> None:
    """Puts sessions of `n_calls` each into a new ledger, which they make at their first start."""
    with serving(python, ledger):
        pass
    filling = TheirFilling()
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.executemany(INSERT, filling.session("long", LONG_CALLS))
        for number in range(n_sessions):
            connection.executemany(INSERT, filling.session(f"run-{number:05}", n_calls))
            if number % SESSIONS_AT_ONCE == 0:
                connection.commit()
                if ledger.stat().st_size > MAX_BYTES:
                    break
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def size(ledger: Path) -> str:
    with closing(sqlite3.connect(ledger)) as connection:
        (n_calls,) = connection.execute("SELECT count(*) FROM llm_calls").fetchone()
    n_bytes = ledger.stat().st_size
    return f"{n_calls:,} calls, {n_bytes / 1e9:.1f} GB, {n_bytes / n_calls:,.0f} bytes a call"


@contextmanager
def serving(python: str, ledger: Path) -> Iterator[Client]:
    environment = {**THEIRS.environment, "AGENTICLEDGER_DSN": f"sqlite:///{ledger.resolve()}"}
    with TemporaryDirectory() as folder:
        system = replace(THEIRS, environment=environment)
        with running(system, python, NO_UPSTREAM, Path(folder) / "theirs") as started:
            yield Client(started.port, timeout_s=PATIENCE_S)


def compare(ours: Client, python: str, ledger: Path, repeat: int) -> None:
    """Prints the time until the whole response is there, of each read, here and there."""
    print(f"\nThe ledger of agentic-ledger: {size(ledger)}")
    print(f"{'median, ms':36} {'ours':>10} {'theirs':>10} {'bytes, ours':>14} {'theirs':>12}")
    with serving(python, ledger) as theirs:
        clients = (ours, theirs)
        sessions = [some_session(client) for client in clients]
        calls = [last_call(*found) for found in zip(clients, sessions, strict=True)]
        for name, paths in READS.items():
            requests = zip(clients, paths, calls, strict=True)
            row(name, [timing(one, path.format(call=call), repeat) for one, path, call in requests])
        deletions = [deletion(*found) for found in zip(clients, sessions, strict=True)]
        row("deleting a session of 50 calls", deletions)


def row(name: str, figures: list[tuple[float, int]]) -> None:
    (ours_ms, ours_bytes), (their_ms, their_bytes) = figures
    cells = f"{ours_ms:10.1f} {their_ms:10.1f} {ours_bytes:14,} {their_bytes:12,}"
    print(f"{name:36} {cells}", flush=True)


def timing(client: Client, path: str, repeat: int) -> tuple[float, int]:
    """The median in milliseconds, and the length of the response in bytes."""
    response, body = client.request(path)  # warms caches
    assert response.status == 200, body
    begin = time.perf_counter()
    times: list[float] = []
    while len(times) < repeat and time.perf_counter() - begin < BUDGET_S:
        times.append(milliseconds(lambda: client.request(path)))
    return median(times), len(body)


def deletion(client: Client, session_id: str) -> tuple[float, int]:
    """Deletes a session; returns milliseconds, and the length of the response in bytes."""
    begin = time.perf_counter()
    response, body = client.request(f"/api/sessions/{session_id}", "DELETE")
    assert response.status in (200, 204), body
    return (time.perf_counter() - begin) * 1e3, len(body)


def some_session(client: Client) -> str:
    [session] = json.loads(client.request("/api/sessions?limit=1&offset=9")[1])
    return str(session["session_id"])


def last_call(client: Client, session_id: str) -> str:
    calls = json.loads(client.request(f"/session/{session_id}")[1])
    return str(calls[-1]["action_id"])


def milliseconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("python", help="an interpreter with agentic-ledger")
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--calls", type=int, default=100_000, help="in sessions of 50")
    options = parser.parse_args()
    if options.ledger.exists():
        sys.exit(f"{options.ledger} is there already")
    fill(options.python, options.ledger, options.calls // 50, 50)
    print(size(options.ledger))


if __name__ == "__main__":
    main()
