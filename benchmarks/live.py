"""How many dashboards one process keeps live.

    python -m benchmarks.live [--clients 500] [--calls 500] [--seconds 20]

Clients listen to /ws, all to everything, 50 calls a message. Calls are written to the ledger as the
recorder would, so many a second. Printed: how long after it was written a call reached the last
client and the middle one, and what that cost the process that serves them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from websockets.asyncio.client import connect

from benchmarks.client import running_proxy

EVERY_S = 0.1
SEQ = re.compile(r'"seq":(\d+)')


class Writer:
    """Copies a recorded call again and again, each with a number of its own, in SQLite itself."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.written: dict[int, float] = {}  # when, by seq

    async def run(self, per_second: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            await asyncio.to_thread(self._write, max(1, round(per_second * EVERY_S)))
            await asyncio.sleep(max(0, EVERY_S - (time.monotonic() - begin)))

    def _write(self, count: int) -> None:
        with closing(sqlite3.connect(self.database, timeout=20)) as db:
            columns = [row[1] for row in db.execute("PRAGMA table_info(capture_call)")]
            others = ", ".join(name for name in columns if name not in ("action_id", "seq"))
            db.execute("BEGIN IMMEDIATE")
            ((last,),) = db.execute("SELECT last_seq FROM capture_ledger").fetchall()
            for seq in range(last + 1, last + count + 1):
                db.execute(
                    f"INSERT INTO capture_call (action_id, seq, {others})"
                    f" SELECT lower(hex(randomblob(16))), {seq}, {others} FROM capture_call"
                    " WHERE seq = 1"
                )
            db.execute("UPDATE capture_ledger SET last_seq = ?", (last + count,))
            db.commit()
        self.written[last + count] = time.monotonic()


async def listen(port: int, delays: list[float], writer: Writer, n_gaps: list[int]) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None) as socket:
        async for message in socket:
            at = time.monotonic()
            if message == '{"type":"gap"}':
                n_gaps[0] += 1
                continue
            seqs = SEQ.findall(str(message)[-200:])
            if not seqs:
                continue
            written = writer.written.get(int(seqs[-1]))
            if written is not None:
                delays.append(at - written)


async def measure(port: int, database: Path, arguments: argparse.Namespace) -> None:
    writer = Writer(database)
    delays: list[float] = []
    n_gaps = [0]
    tasks = [
        asyncio.create_task(listen(port, delays, writer, n_gaps)) for _ in range(arguments.clients)
    ]
    await asyncio.sleep(3)
    process = next(
        found.laddr and psutil.Process(found.pid)
        for found in psutil.net_connections("tcp")
        if found.status == "LISTEN" and found.laddr.port == port
    )
    before, memory = process.cpu_times(), process.memory_info().rss
    await writer.run(arguments.calls, arguments.seconds)
    after = process.cpu_times()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cpu = after.user + after.system - before.user - before.system
    ordered = sorted(delays)
    print(f"clients {arguments.clients}, calls a second {arguments.calls}")
    print(f"messages {len(delays):,}, gaps {n_gaps[0]}")
    print(
        f"delivered after, ms: p50 {statistics.median(ordered) * 1e3:.0f},"
        f" p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.0f}, longest {ordered[-1] * 1e3:.0f}"
    )
    print(f"CPU of the process: {cpu / arguments.seconds * 100:.0f} % of a core")
    print(f"memory: {(process.memory_info().rss - memory) / 1e6:+.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        database = Path(folder) / "ledger.db"
        os.environ["AGENTLEDGER_DSN"] = f"sqlite:///{database}"
        subprocess.run(
            [sys.executable, "-m", "benchmarks.filling", "--sessions", "1", "--calls", "1"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with running_proxy() as client:
            asyncio.run(measure(client.port, database, arguments))


if __name__ == "__main__":
    main()
