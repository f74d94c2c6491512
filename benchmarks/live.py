"""Measures how many dashboards one process keeps live.

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


class CallWriter:
    """Copies a recorded call again and again, each with a number of its own, in SQLite itself."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.written: dict[int, float] = {}  # when, by seq

    async def write_calls(self, per_second: int, seconds: float) -> None:
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


class Clients:
    """Listen to everything, and note how long after it was written the newest call of each message
    came."""

    def __init__(self, count: int, port: int, writer: CallWriter) -> None:
        self.delays_s: list[float] = []
        self.n_gaps = 0
        self._count = count
        self._n_connected = 0
        self._all_connected = asyncio.Event()
        self._writer = writer
        self._tasks = [asyncio.create_task(self._listen(port)) for _ in range(count)]

    async def until_connected(self) -> None:
        """Waits for the hello of each, so that no handshake is measured."""
        await self._all_connected.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None, open_timeout=60) as socket:
            await socket.recv()
            self._n_connected += 1
            if self._n_connected == self._count:
                self._all_connected.set()
            async for message in socket:
                self._note(str(message), time.monotonic())

    def _note(self, message: str, at: float) -> None:
        if message == '{"type":"gap"}':
            self.n_gaps += 1
            return
        seqs = SEQ.findall(message[-200:])
        written = self._writer.written.get(int(seqs[-1])) if seqs else None
        if written is not None:
            self.delays_s.append(at - written)


async def measure(port: int, database: Path, arguments: argparse.Namespace) -> None:
    writer = CallWriter(database)
    clients = Clients(arguments.clients, port, writer)
    await clients.until_connected()
    process = next(
        psutil.Process(found.pid)
        for found in psutil.net_connections("tcp")
        if found.status == "LISTEN" and found.laddr and found.laddr.port == port
    )
    before, memory = process.cpu_times(), process.memory_info().rss
    await writer.write_calls(arguments.calls, arguments.seconds)
    after = process.cpu_times()
    await clients.close()
    cpu = after.user + after.system - before.user - before.system
    delays_ms = sorted(delay * 1e3 for delay in clients.delays_s)
    print(f"clients {arguments.clients}, calls a second {arguments.calls}")
    print(f"messages {len(delays_ms):,}, gaps {clients.n_gaps}")
    print(
        f"delivered after, ms: p50 {statistics.median(delays_ms):.0f},"
        f" p99 {delays_ms[int(len(delays_ms) * 0.99)]:.0f}, longest {delays_ms[-1]:.0f}"
    )
    print(f"CPU of the process: {cpu / arguments.seconds * 100:.1f} % of a core")
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
