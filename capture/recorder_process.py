"""Starts the recorder beside a proxy process, and again when it ends too early."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

logger = logging.getLogger("agentledger.proxy")

PROJECT = Path(__file__).resolve().parent.parent
# A recorder that ends at once again is started less and less often.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
GRACE_S = 10.0


class RecorderProcess:
    """`manage.py runrecorder` as a child. It sees by its standard input that the proxy is gone."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._process = self._spawn()
        self._watcher = threading.Thread(target=self._watch, name="recorder-watch", daemon=True)
        self._watcher.start()

    def is_running(self) -> bool:
        return self._process.poll() is None

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = dict(os.environ, DJANGO_SETTINGS_MODULE="agentledger_site.settings")
        search_path = [str(PROJECT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
        return subprocess.Popen(
            [sys.executable, "-m", "django", "runrecorder", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for the proxy, which then tells us
        )

    def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > 60:
                pause_s = FIRST_PAUSE_S
            logger.warning("the recorder ended (%s); it is started again in %s s", code, pause_s)
            if self._stopping.wait(pause_s):
                return
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            with self._spawning:
                if self._stopping.is_set():
                    return
                try:
                    self._process = self._spawn()
                except OSError as error:  # no memory or no process to be had: tried again
                    logger.error("the recorder cannot be started: %s", error)

    def stop(self) -> None:
        """Let it drain the spool; after GRACE_S end it: the rest is recorded at the next start."""
        with self._spawning:
            self._stopping.set()
            process = self._process
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            logger.warning("the spool is not drained; the rest is recorded at the next start")
            process.kill()  # it may be waiting for a database; killed, it loses nothing
            process.wait()
        self._watcher.join()
