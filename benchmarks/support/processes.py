"""Starting, watching and stopping the processes that a measurement needs."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from benchmarks.support.systems import System

PROJECT = Path(__file__).resolve().parents[2]
START_S = 60
STOP_S = 45


class SystemFailed(Exception):
    """A system could not be started, or broke during a measurement."""


@dataclass
class Running:
    """A started system. Its processes are named by role: proxy, recorder, sinks, other."""

    system: System
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    start_up_s: float = 0.0  # from the start of its process to the first response of /health

    def processes(self) -> dict[int, str]:
        """Process id → role, of those alive now."""
        return {pid: self._role(pid) for pid in _processes_of(self.folder)}

    def cpu_seconds(self) -> dict[str, float]:
        """CPU used so far, user and system, by role."""
        totals: dict[str, float] = {}
        for pid, role in self.processes().items():
            # A process's own CPU clock counts nanoseconds, where /proc/PID/stat counts 10 ms ticks.
            # Its id is made as by clock_getcpuclockid(3).
            with suppress(OSError):
                totals[role] = totals.get(role, 0.0) + time.clock_gettime((~pid << 3) | 2)
        return totals

    def memory_mb(self) -> dict[str, float]:
        """Resident memory now, by role."""
        return self._status_mb("VmRSS:")

    def peak_memory_mb(self) -> dict[str, float]:
        """The highest resident memory since `forget_peak_memory`, by role."""
        return self._status_mb("VmHWM:")

    def forget_peak_memory(self) -> None:
        for pid in self.processes():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def n_recorded(self) -> int:
        """The number of calls that its database holds."""
        return self._number(self.system.count_sql)

    def n_followed(self) -> int:
        """The number of calls, counted from the first, that all sinks have taken from the ledger;
        0 before there is a sink. Of AgentLedger only."""
        return self._number("SELECT coalesce(min(seq), 0) FROM reports_sinkcursor")

    def _number(self, sql: str) -> int:
        try:
            return number_in(self.folder, sql)
        except sqlite3.Error as error:
            raise SystemFailed(f"{self.system.name}: its database can't be read: {error}") from None

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise SystemFailed(f"{self.system.name} ended: {tail(self.folder / 'log')}")

    def stop(self) -> None:
        """Asks it to end, waits for all of its processes, and kills what is still there then."""
        self.process.terminate()
        deadline = time.monotonic() + STOP_S
        while (left := _processes_of(self.folder)) and time.monotonic() < deadline:
            self.process.poll()  # an ended child stays in the table until it is waited for
            time.sleep(0.05)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def _role(self, pid: int) -> str:
        if pid == self.process.pid:
            return "proxy"
        command = _command_line(pid)
        if "runrecorder" in command:
            return "recorder"
        return "sinks" if "runsinks" in command else "other"

    def _status_mb(self, key: str) -> dict[str, float]:
        totals: dict[str, float] = {}
        for pid, role in self.processes().items():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(key):
                        totals[role] = totals.get(role, 0.0) + int(line.split()[1]) / 1024
        return totals


@contextmanager
def running(
    system: System, python: str, upstream_url: str, folder: Path, checkout: Path = PROJECT
) -> Iterator[Running]:
    """Starts `system` with a fresh database in `folder`, waits until it responds, stops it after.
    `checkout` is the folder of the AgentLedger to run, where the system is one.

    Raises SystemFailed, with the end of its log, when it does not come up."""
    folder.mkdir()
    port = free_port()
    values = {"python": python, "port": port, "folder": folder, "upstream_url": upstream_url}
    environment = environment_for(system, values, checkout)
    directory = folder if system.foreign else checkout
    try:
        with (folder / "log").open("ab") as log:
            if system.prepare:
                _start(system.prepare, values, environment, directory, log).wait()
            begin = time.monotonic()
            process = _start(system.command, values, environment, directory, log)
        started = Running(system, process, port, folder)
        try:
            _wait_until_healthy(started)
            started.start_up_s = time.monotonic() - begin
            yield started
        finally:
            started.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(
    command: tuple[str, ...],
    values: dict[str, object],
    environment: dict[str, str],
    directory: Path,
    log: BinaryIO,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [part.format(**values) for part in command],
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # an interrupt at the terminal is ours: we stop it in order
    )


def number_in(folder: Path, sql: str) -> int:
    """The number that a query of the ledger in `folder` gives. Raises sqlite3.Error."""
    database = f"file:{folder / 'ledger.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True, timeout=20)) as connection:
        (number,) = connection.execute(sql).fetchone()
    return int(number)


def environment_for(system: System, values: dict[str, object], checkout: Path) -> dict[str, str]:
    """`values` are those of the templates that the system's environment holds."""
    environment = clean_environment(Path(str(values["folder"])))
    for name, value in system.environment.items():
        environment[name] = value.format(**values)
    if not system.foreign:
        environment["PYTHONPATH"] = str(checkout)
    return environment


def clean_environment(folder: Path) -> dict[str, str]:
    """The environment without what would change the system under test: its own variables, network
    proxies, and the configuration in the home folder."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENTLEDGER_", "AGENTICLEDGER_", "DJANGO_"))
        and not name.lower().endswith("_proxy")
    }
    return {**environment, "HOME": str(folder), "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log on one line."""
    text = log.read_text(errors="replace").strip().splitlines()
    return " | ".join(line.strip() for line in text[-lines:])[-400:] or "(it logged nothing)"


def responds(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _wait_until_healthy(started: Running) -> None:
    deadline = time.monotonic() + START_S
    while not responds(f"http://127.0.0.1:{started.port}/health"):
        started.check_alive()
        if time.monotonic() > deadline:
            log = tail(started.folder / "log")
            raise SystemFailed(f"{started.system.name} did not respond in {START_S} s: {log}")
        time.sleep(0.01)


def _processes_of(folder: Path) -> list[int]:
    """The ids of all processes of the run in `folder`, which is their home folder. This finds
    processes whose parent has ended, and no others."""
    home = b"\0HOME=" + bytes(folder) + b"\0"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since, or is another user's
            if home in b"\0" + (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""
