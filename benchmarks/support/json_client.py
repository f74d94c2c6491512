"""A fixed number of calls over a few kept-alive connections, at little CPU."""

import asyncio
from collections.abc import Iterator
from typing import cast

import uvloop

from benchmarks.support.latency import is_complete

TIMEOUT_S = 600.0


class LoadConnection(asyncio.Protocol):
    """One connection, which sends the next request as soon as it has the last one's response."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.requests = requests
        self.response = b""
        self.n_succeeded = 0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not instances of asyncio.Transport, but have all of its methods.
        self.transport = cast(asyncio.Transport, transport)
        self.send_next()

    def data_received(self, data: bytes) -> None:
        self.response += data
        if is_complete(self.response):
            self.n_succeeded += self.response.startswith(b"HTTP/1.1 200")
            self.response = b""
            self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def send_next(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
        else:
            self.transport.write(request)


def send_all(port: int, requests: Iterator[bytes], *, connections: int) -> int:
    """Sends each request once; returns how many were responded to with 200. Raises OSError when
    there is no connection, TimeoutError when the responses take longer than TIMEOUT_S."""
    return uvloop.run(_send_all(port, requests, connections))


async def _send_all(port: int, requests: Iterator[bytes], n_connections: int) -> int:
    loop = asyncio.get_running_loop()
    connections = []
    async with asyncio.timeout(TIMEOUT_S):
        for _ in range(n_connections):
            _, connection = await loop.create_connection(
                lambda: LoadConnection(requests), "127.0.0.1", port
            )
            connections.append(connection)
        await asyncio.gather(*(connection.closed for connection in connections))
    return sum(connection.n_succeeded for connection in connections)
