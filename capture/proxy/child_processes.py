"""Keeps the recorder and the sinks running beside a proxy process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

from capture.spool.folder import Folder

logger = logging.getLogger("agentledger.proxy")

PROJECT = Path(__file__).resolve().parents[2]
# A process that keeps ending is restarted at longer and longer intervals.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STABLE_AFTER_S = 60.0
MANY_ENDS = 3
GRACE_S = 10.0


class ChildProcess:
    """A management command as a child process, which ends when its standard input closes."""

    name: str
    command: str
    grace_s: float
    late_warning: str  # logged if it does not end within grace_s
    delay_s = 0.0  # before it is started the first time
    n_ends = 0  # since it last ran for a minute
    last_code: int | None = None  # with which it ended last

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._started = time.monotonic()
        self._process = self._spawn() if self.delay_s == 0 else None
        self._watcher = threading.Thread(
            target=self._watch, name=f"{self.command}-watch", daemon=True
        )
        self._watcher.start()

    @property
    def keeps_ending(self) -> bool:
        """Returns true if it ends again and again soon after it was started."""
        return self.n_ends >= MANY_ENDS and time.monotonic() - self._started < STABLE_AFTER_S

    def is_running(self) -> bool:
        """Returns true also for a process that is not due yet."""
        return self._process is None or self._process.poll() is None

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = dict(os.environ, DJANGO_SETTINGS_MODULE=settings.SETTINGS_MODULE)
        search_path = [str(PROJECT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
        return subprocess.Popen(
            [sys.executable, "-m", "django", self.command, "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            env=environment,
            # Ctrl-C in the terminal is for the proxy alone, which then stops its children. They
            # stay in its session: Linux shares out the CPU by sessions first (man 7 sched,
            # autogroup), and would give them as much as the proxy, however nice they are.
            process_group=0,
        )

    def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        if self._process is None and not self._start_after(self.delay_s):
            return
        while True:
            self._started = time.monotonic()
            code = self._process.wait() if self._process else None
            if self._stopping.is_set():
                return
            if time.monotonic() - self._started > STABLE_AFTER_S:
                pause_s, self.n_ends = FIRST_PAUSE_S, 0
            self.n_ends, self.last_code = self.n_ends + 1, code
            logger.warning("%s ended with code %s; restarting it in %s s", self.name, code, pause_s)
            if not self._start_after(pause_s):
                return
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _start_after(self, pause_s: float) -> bool:
        """Waits, then starts the process; returns false if it is to stop instead."""
        self._stopping.wait(pause_s)
        with self._spawning:
            if self._stopping.is_set():
                return False
            try:
                self._process = self._spawn()
            except OSError as error:  # out of memory or of processes: it is tried again
                logger.error("%s cannot be started: %s", self.name, error)
            return True

    def before_stop(self) -> None:
        pass

    def stop(self) -> None:
        """Asks the process to end, and kills it when its time is up."""
        self.before_stop()
        with self._spawning:
            self._stopping.set()
            process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(self.grace_s)
            except subprocess.TimeoutExpired:
                logger.warning(self.late_warning)
                process.kill()  # it may be waiting for a database; nothing is lost
                process.wait()
        self._watcher.join()


class RecorderProcess(ChildProcess):
    """The recorder, which drains the spool before it ends."""

    name = "the recorder"
    command = "runrecorder"
    grace_s = GRACE_S
    late_warning = "the recorder was stopped early; what is left in the spool is recorded next time"

    def before_stop(self) -> None:
        Folder(settings.AGENTLEDGER.spool_path).ask_to_stop()


class SinksProcess(ChildProcess):
    """The sinks, which follow the ledger. Their command belongs to the reports, and is known here
    by its name only."""

    name = "the sinks' process"
    delay_s = 2.0  # start-up has other things to do, and readers do not need the sinks
    command = "runsinks"
    grace_s = 5.0
    late_warning = (
        "the sinks were stopped in the middle of their work; they continue at the next start"
    )
