"""Times many streams at once, at little CPU, and prints the figures as JSON.

python -m benchmarks.support.stream_client PORT STREAMS CHUNKS SESSION_HEADER TAG [HEADER...]
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict
from typing import cast

import uvloop

from benchmarks.support.chat_requests import stream_request
from benchmarks.support.figures import StreamFigures, percentile

# All streams start within this time: agents do not all call in the same millisecond.
SPREAD_S = 1.0
GRACE_S = 30.0


class Stream(asyncio.Protocol):
    """One stream. It parses no more than it must: it counts events, and looks for the end."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.started = time.perf_counter()
        self.arrivals: list[float] = []
        self.events = 0
        self.end = b""
        self.ok = False
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not instances of it, but have all of it.
        cast(asyncio.Transport, transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.end:
            self.ok = data.startswith(b"HTTP/1.1 200")
        # An event may begin in one read and go on in the next; the end that is kept is too short
        # to be counted twice.
        n_events = (self.end[-5:] + data).count(b"data: ")
        if n_events:
            self.events += n_events
            self.arrivals.append(now)
        self.end = (self.end + data)[-40:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def is_complete(self, chunks: int) -> bool:
        """True when all chunks came, and after them the [DONE]."""
        return self.ok and self.events == chunks + 1 and b"data: [DONE]" in self.end

    def gaps(self) -> list[float]:
        return [
            later - sooner for sooner, later in zip(self.arrivals, self.arrivals[1:], strict=False)
        ]


async def one_stream(port: int, request: bytes, delay_s: float) -> Stream:
    await asyncio.sleep(delay_s)
    stream = Stream(request)
    try:
        await asyncio.get_running_loop().create_connection(lambda: stream, "127.0.0.1", port)
    except OSError:
        return stream
    await stream.closed
    return stream


async def measure(
    port: int, n_streams: int, chunks: int, session_header: str, tag: str, *headers: str
) -> StreamFigures:
    tasks = [
        asyncio.create_task(
            one_stream(
                port,
                stream_request(session_header, tag, number, *headers),
                SPREAD_S * number / n_streams,
            )
        )
        for number in range(n_streams)
    ]
    await asyncio.wait(tasks, timeout=SPREAD_S + chunks * 0.05 + GRACE_S)
    streams = [task.result() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    whole = [stream for stream in streams if stream.is_complete(chunks)]
    first_ms = [(stream.arrivals[0] - stream.started) * 1e3 for stream in whole]
    return StreamFigures(
        first_p50_ms=percentile(first_ms, 50),
        first_p99_ms=percentile(first_ms, 99),
        gap_p99_ms=percentile([gap * 1e3 for stream in whole for gap in stream.gaps()], 99),
        longest_gap_p99_ms=percentile([max(stream.gaps()) * 1e3 for stream in whole], 99),
        failures=n_streams - len(whole),
    )


if __name__ == "__main__":
    gc.disable()
    times = uvloop.run(measure(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))
    print(json.dumps(asdict(times)))
