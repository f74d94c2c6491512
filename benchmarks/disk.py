"""Measures what a growing conversation takes on disk, beside `agentic-ledger` from PyPI.

    python -m benchmarks.disk [--turns 200] [--competitor-python PATH]

An agent sends its whole history with each turn. Needs nginx and wrk as `benchmarks.proxy` does.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks.proxy import install_competitor
from benchmarks.support.load import wait_until_recorded
from benchmarks.support.processes import Running, running
from benchmarks.support.standin import json_upstream
from benchmarks.support.systems import SYSTEMS

MEASURED = ("agentledger-uvicorn", "agentic-ledger-async")
SYSTEM_PROMPT_WORDS, QUESTION_WORDS, ANSWER_WORDS = 300, 80, 120
CHECKPOINT_S = 2.0


def words(random: Random, count: int) -> str:
    """Text that compresses about as well as prose, no two alike."""
    vocabulary = [f"w{number:x}" for number in range(4000)]
    return " ".join(random.choice(vocabulary) for _ in range(count))


def converse(started: Running, turns: int) -> int:
    """Holds a conversation of `turns`; returns the bytes that the agent sent."""
    random = Random(1)
    history: list[dict[str, Any]] = [
        {"role": "system", "content": words(random, SYSTEM_PROMPT_WORDS)}
    ]
    sent = 0
    headers = {started.system.session_header: "conversation"}
    with httpx.Client(base_url=f"http://127.0.0.1:{started.port}", timeout=60) as agent:
        for _ in range(turns):
            history.append({"role": "user", "content": words(random, QUESTION_WORDS)})
            body = {"model": "gpt-4o-mini", "messages": history}
            response = agent.post("/v1/chat/completions", json=body, headers=headers)
            sent += len(response.request.content)
            history.append({"role": "assistant", "content": words(random, ANSWER_WORDS)})
    return sent


def disk_bytes(started: Running, turns: int) -> int:
    """The size of the database, when it has all calls and its log is written back."""
    wait_until_recorded(started, turns)
    time.sleep(CHECKPOINT_S)
    database = started.folder / "ledger.db"
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(page_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--competitor-python", help="an interpreter with agentic-ledger")
    options = parser.parse_args()
    taken: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        theirs = options.competitor_python or install_competitor(folder)
        with json_upstream(folder / "upstream") as port:
            for system in (system for system in SYSTEMS if system.name in MEASURED):
                python = theirs if system.foreign else sys.executable
                url = f"http://127.0.0.1:{port}"
                with running(system, python, url, folder / "system") as started:
                    empty = disk_bytes(started, 0)
                    sent = converse(started, options.turns)
                    taken[system.name] = disk_bytes(started, options.turns) - empty
    print(f"{options.turns} turns, {sent / 1e6:.1f} MB sent by the agent")
    for name, size in taken.items():
        print(f"{name}: {size / 1e6:.2f} MB on disk")
    ours, other = (taken[name] for name in MEASURED)
    print(f"{MEASURED[1]} takes {other / ours:.1f} times as much")


if __name__ == "__main__":
    main()
