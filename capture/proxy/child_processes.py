"""Starts the recorder and the sinks beside a proxy process, and again when they end too early."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.conf import settings

logger = logging.getLogger("agentledger.proxy")

PROJECT = Path(__file__).resolve().parents[2]
# A process that ends at once again is started less and less often.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
GRACE_S = 10.0


class ChildProcess:
    """A management command as a child. It sees by its standard input that the proxy is gone."""

    name: str
    command: str
    grace_s: float
    not_in_time: str  # what it means that it did not end by itself
    delay_s = 0.0  # until it is started

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._process = self._spawn() if self.delay_s == 0 else None
        self._watcher = threading.Thread(
            target=self._watch, name=f"{self.command}-watch", daemon=True
        )
        self._watcher.start()

    def is_running(self) -> bool:
        """Or is not due yet."""
        return self._process is None or self._process.poll() is None

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = dict(os.environ, DJANGO_SETTINGS_MODULE=settings.SETTINGS_MODULE)
        search_path = [str(PROJECT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
        return subprocess.Popen(
            [sys.executable, "-m", "django", self.command, "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for the proxy, which then tells us
        )

    def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        if self._process is None and not self._starts_after(self.delay_s):
            return
        while True:
            started = time.monotonic()
            code = self._process.wait() if self._process else None
            if self._stopping.is_set():
                return
            if time.monotonic() - started > 60:
                pause_s = FIRST_PAUSE_S
            logger.warning("%s ended (%s); started again in %s s", self.name, code, pause_s)
            if not self._starts_after(pause_s):
                return
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _starts_after(self, pause_s: float) -> bool:
        """False: it is to stop."""
        self._stopping.wait(pause_s)
        with self._spawning:
            if self._stopping.is_set():
                return False
            try:
                self._process = self._spawn()
            except OSError as error:  # no memory or no process to be had: tried again
                logger.error("%s cannot be started: %s", self.name, error)
            return True

    def stop(self) -> None:
        """Let it come to its end; when its time is up, end it."""
        with self._spawning:
            self._stopping.set()
            process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(self.grace_s)
            except subprocess.TimeoutExpired:
                logger.warning(self.not_in_time)
                process.kill()  # it may be waiting for a database; killed, it loses nothing
                process.wait()
        self._watcher.join()


class RecorderProcess(ChildProcess):
    """Drains the spool before it ends."""

    name = "the recorder"
    command = "runrecorder"
    grace_s = GRACE_S
    not_in_time = "the spool is not drained; the rest is recorded at the next start"


class SinksProcess(ChildProcess):
    """Follows the ledger for its readers: the command is theirs, known here by name alone."""

    name = "the process of the sinks"
    delay_s = 2.0  # a start has other things to do, and readers have the ledger meanwhile
    command = "runsinks"
    grace_s = 5.0
    not_in_time = "the sinks are in the middle of something; they go on at the next start"
