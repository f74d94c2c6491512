"""A stand-in provider: a real HTTP server in its own process, which sends the bytes it is given.

`python -m tests.support.provider` serves; `Provider` starts it and talks to it over a control port.
What is not programmed is answered by `tests.support.canned`: the three LLM APIs, and an echo on
every other path.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support import canned

KEPT_BODY = 4 * 1024 * 1024
KEPT_REQUESTS = 2000
PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Received:
    """A request as it arrived, header bytes as Latin-1."""

    line: str
    headers: list[tuple[str, str]]
    chunked: bool = False
    size: int = 0
    sha256: str = ""
    body: bytes = b""  # the first KEPT_BODY of it

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Program:
    """What to do with the next requests whose target contains `path`.

    Steps: ["send", base64], ["flood", base64, times], ["sleep", seconds], ["hang"], ["close"],
    ["reset"].
    """

    steps: list[list[Any]]
    path: str = ""
    times: int | None = None


class Server:
    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.received: deque[Received] = deque(maxlen=KEPT_REQUESTS)
        self.n_received = 0
        self.n_open = 0
        self.n_aborted = 0  # responses that their client did not wait for
        self.released = asyncio.Event()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_open += 1
        try:
            while (request := await self._request(reader, writer)) is not None:
                self.received.append(request)
                self.n_received += 1
                if not await self._response(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.n_open -= 1
            writer.close()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Received | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        line, *lines = head[:-4].decode("latin-1").split("\r\n")
        pairs = (text.partition(":") for text in lines)
        request = Received(line, [(name, value.strip(" \t")) for name, _, value in pairs])
        if "100-continue" in request.header("expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest = hashlib.sha256()
        async for piece in self._body(request, reader):
            digest.update(piece)
            request.size += len(piece)
            if len(request.body) < KEPT_BODY:
                request.body += piece[: KEPT_BODY - len(request.body)]
        request.sha256 = digest.hexdigest()
        return request

    async def _body(self, request: Received, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        request.chunked = "chunked" in ",".join(request.header("transfer-encoding")).lower()
        if request.chunked:
            while size := int(await reader.readline(), 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readline()
            return
        left = int((request.header("content-length") or ["0"])[0])
        while left:
            piece = await reader.read(min(left, 1 << 16))
            if not piece:
                raise ConnectionError
            left -= len(piece)
            yield piece

    def _steps(self, request: Received) -> list[list[Any]]:
        for program in self.programs:
            if program.path in request.target and program.times != 0:
                if program.times is not None:
                    program.times -= 1
                return program.steps
        return canned.steps(request.method, request.target, request)

    async def _response(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection stays open."""
        try:
            for step in self._steps(request):
                if not await self._step(step, reader, writer):
                    return False
        except ConnectionError:
            self.n_aborted += 1
            raise
        return True

    async def _step(
        self, step: list[Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        kind = step[0]
        if kind == "send":
            writer.write(base64.b64decode(step[1]))
            await writer.drain()
        elif kind == "flood":  # the same piece again and again
            piece = base64.b64decode(step[1])
            for _ in range(step[2]):
                writer.write(piece)
                await writer.drain()
        elif kind in ("sleep", "hang"):
            until = time.monotonic() + (step[1] if kind == "sleep" else 3600)
            while (left := until - time.monotonic()) > 0:
                if reader.at_eof():  # the client hung up
                    self.n_aborted += 1
                    return False
                await asyncio.sleep(min(left, 0.01))
        elif kind == "hold":
            await self.released.wait()
        elif kind == "close":
            return False
        elif kind == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        return True

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            command = json.loads(line)
            response = getattr(self, f"do_{command.pop('do')}")(**command)
            writer.write(json.dumps(response).encode() + b"\n")
            await writer.drain()
        asyncio.get_running_loop().stop()  # the test that started us is gone

    def do_program(self, **program: Any) -> None:
        self.programs.append(Program(**program))

    def do_release(self) -> None:
        self.released.set()

    def do_reset(self) -> None:
        self.released = asyncio.Event()
        self.programs.clear()
        self.received.clear()
        self.n_received = self.n_aborted = 0

    def do_requests(self) -> list[dict[str, Any]]:
        return [{**asdict(r), "body": base64.b64encode(r.body).decode()} for r in self.received]

    def do_counts(self) -> dict[str, int]:
        return {"received": self.n_received, "open": self.n_open, "aborted": self.n_aborted}


async def _serve() -> None:
    server = Server()
    limit = 1 << 20
    data = await asyncio.start_server(server.connection, "127.0.0.1", 0, limit=limit, backlog=1024)
    control = await asyncio.start_server(server.control, "127.0.0.1", 0, limit=1 << 28)
    ports = [s.sockets[0].getsockname()[1] for s in (data, control)]
    print(*ports, flush=True)
    await asyncio.Event().wait()


@dataclass
class Provider:
    """The stand-in as tests see it; stops with its block."""

    url: str = ""
    _control: Any = None
    _process: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Provider:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.provider"],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port, control = map(int, self._process.stdout.readline().split())
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", control))
        self._control = self._socket.makefile("rw")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._control.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, do: str, **facts: Any) -> Any:
        with self._lock:
            self._control.write(json.dumps({"do": do, **facts}) + "\n")
            self._control.flush()
            return json.loads(self._control.readline())

    def response(self, *steps: list[Any], path: str = "", times: int | None = None) -> None:
        """Program raw steps; see `whole`, `chunked`, `send` and the others below."""
        self._ask("program", steps=list(steps), path=path, times=times)

    def release(self) -> None:
        """Let go on what a step of `canned.HOLD` holds."""
        self._ask("release")

    def reset(self) -> None:
        self._ask("reset")

    def requests(self) -> list[Received]:
        return [
            Received(
                **{
                    **facts,
                    "headers": [tuple(pair) for pair in facts["headers"]],
                    "body": base64.b64decode(facts["body"]),
                }
            )
            for facts in self._ask("requests")
        ]

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._ask("counts")
        return counts


if __name__ == "__main__":
    with contextlib.suppress(RuntimeError):  # the loop was stopped: our test is gone
        asyncio.run(_serve())
