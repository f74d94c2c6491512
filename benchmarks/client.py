"""A proxy process over the ledger of AGENTLEDGER_DSN, and an HTTP client for it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from benchmarks.support.processes import PROJECT, START_S


class Client:
    """One kept-alive connection to a server on this machine."""

    def __init__(self, port: int, timeout_s: float = 60) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def request(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Returns the response, and its whole body."""
        self._connection.request(method, path, headers=headers)
        response = self._connection.getresponse()
        return response, response.read()


@contextmanager
def running_proxy() -> Iterator[Client]:
    """Starts `runproxy` on a free port with a spool of its own, and stops it afterwards."""
    environment = {**os.environ, "AGENTLEDGER_PORT": "0", "PYTHONPATH": str(PROJECT)}
    with TemporaryDirectory() as folder:
        environment["AGENTLEDGER_SPOOL_DIR"] = f"{folder}/spool"
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), "runproxy"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Client(_port(process))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=START_S)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"Dashboard +http://[^/\s]+:(\d+)", line):
            return int(found[1])
    raise SystemExit("the proxy did not start")
