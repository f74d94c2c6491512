"""Memory over a long run, and under bodies that are far larger than what should be held."""

import socket
import time
from collections.abc import Callable

from benchmarks.support.chat_requests import head
from benchmarks.support.figures import LargeBodyFigures, LongRunFigures, MemorySample
from benchmarks.support.load import run_wrk, wait_until_recorded
from benchmarks.support.processes import Running, SystemFailed

SAMPLES = 10
BODY_BYTES = 100 * 1024 * 1024
READ_BYTES_PER_S = 20 * 1024 * 1024
PIECE = 256 * 1024
# A slow system gets this long, and fewer calls.
LIMIT_S = 1_800
TIMEOUT_S = 120


def measure_long_run(started: Running, *, calls: int, limit_s: float = LIMIT_S) -> LongRunFigures:
    """Full load until `calls` have a response. Takes a sample before, some on the way, and one at
    the end, when all of them are recorded."""
    header = started.system.session_header
    samples = [MemorySample(0, started.memory_mb())]
    responses, first, slice_s = 0, 0, 2.0
    deadline = time.monotonic() + limit_s
    while responses < calls and time.monotonic() < deadline:
        load = run_wrk(
            started.port, seconds=slice_s, session_header=header, tag="long", first=first
        )
        started.check_alive()
        responses += load.responses
        first += load.responses + 1_000  # beyond those that the slice's end cut off
        samples.append(MemorySample(responses, started.memory_mb()))
        calls_per_s = max(1.0, load.responses / load.seconds)
        slice_s = max(2.0, min(calls / SAMPLES, calls - responses) / calls_per_s)
    wait_until_recorded(started)
    return LongRunFigures([*samples, MemorySample(responses, started.memory_mb())])


def measure_large_bodies(started: Running) -> LargeBodyFigures:
    """The system's upstream must be the streaming stand-in: it can send a long response."""
    return LargeBodyFigures(
        before_mb=started.memory_mb(),
        upload_peak_mb=_peak_while_uploading(started),
        response_peak_mb=_peak_while_read_slowly(started),
    )


def _peak_while_uploading(started: Running) -> dict[str, float]:
    """Peak memory in MB, by role, while a call with a body of 100 MB goes through."""
    opening, ending = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"', b'"}]}'
    request = head(
        started.system.session_header, "upload", BODY_BYTES, "x-standin-response-bytes: 500"
    )

    def send(connection: socket.socket) -> None:
        connection.sendall(request + opening)
        left = BODY_BYTES - len(opening) - len(ending)
        while left > 0:
            connection.sendall(b"a" * min(PIECE, left))
            left -= PIECE
        connection.sendall(ending)

    return _peak(started, send, at_least=500)


def _peak_while_read_slowly(started: Running) -> dict[str, float]:
    """Peak memory in MB, by role, while an agent reads a response of 100 MB at 20 MB a second."""
    body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"At length, please."}]}'
    wanted = f"x-standin-response-bytes: {BODY_BYTES}"
    request = head(started.system.session_header, "slow reader", len(body), wanted) + body
    return _peak(started, lambda connection: connection.sendall(request), at_least=BODY_BYTES)


def _peak(
    started: Running, send: Callable[[socket.socket], None], *, at_least: int
) -> dict[str, float]:
    """Sends, reads a response of `at_least` so many bytes, waits until the call is recorded."""
    started.forget_peak_memory()
    recorded = started.n_recorded()
    with socket.socket() as connection:
        # The kernel's own buffers would otherwise take in megabytes for a reader that is slow.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(("127.0.0.1", started.port))
            send(connection)
            n_bytes = _read_slowly(connection, at_least)
        except OSError as error:
            raise SystemFailed(f"{started.system.name}: a large body failed: {error}") from None
    if n_bytes < at_least:
        raise SystemFailed(f"{started.system.name}: {n_bytes} of {at_least} bytes came back")
    wait_until_recorded(started, at_least=recorded + 1)
    started.check_alive()
    return started.peak_memory_mb()


def _read_slowly(connection: socket.socket, at_least: int) -> int:
    """Returns the number of bytes of the body that came; 0 when the status is not 200."""
    response = b""
    while b"\r\n\r\n" not in response:
        piece = connection.recv(PIECE)
        if not piece:
            return 0
        response += piece
    if not response.startswith(b"HTTP/1.1 200"):
        return 0
    n_bytes = len(response.partition(b"\r\n\r\n")[2])
    began = time.monotonic()
    while n_bytes < at_least:
        time.sleep(max(0.0, began + n_bytes / READ_BYTES_PER_S - time.monotonic()))
        piece = connection.recv(PIECE)
        if not piece:
            break
        n_bytes += len(piece)
    return n_bytes
