"""Measures the latency that a system adds to one call at a time."""

import socket
import time

from benchmarks.support.chat_requests import chat_request
from benchmarks.support.figures import LatencyFigures, percentile
from benchmarks.support.processes import Running, SystemFailed

# Calls through the system and straight to the stand-in take turns in blocks, so that both see the
# same disturbances of the machine.
BLOCK = 100
TIMEOUT_S = 30


class Connection:
    """One kept-alive connection, as plain as can be: what it costs is added to what it measures."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call_ms(self, request: bytes) -> float:
        """Milliseconds from the request's first byte to the response's last."""
        started = time.perf_counter_ns()
        self.socket.sendall(request)
        response = self.socket.recv(65536)
        while response and not is_complete(response):
            piece = self.socket.recv(65536)
            if not piece:
                break
            response += piece
        elapsed_ms = (time.perf_counter_ns() - started) / 1e6
        if not response.startswith(b"HTTP/1.1 200"):
            raise SystemFailed(f"a call got {response[:60]!r}")
        return elapsed_ms

    def close(self) -> None:
        self.socket.close()


def measure_latency(
    started: Running, upstream_port: int, *, calls: int
) -> tuple[LatencyFigures, LatencyFigures]:
    """Figures of `calls` calls through the system, and of as many straight to the stand-in. The
    recorder is busy meanwhile, with these very calls."""
    through, straight = Connection(started.port), Connection(upstream_port)
    header = started.system.session_header
    timings: dict[Connection, list[float]] = {through: [], straight: []}
    try:
        for number in range(2 * BLOCK):  # warm up
            through.call_ms(chat_request(header, "warm", number))
            straight.call_ms(chat_request(header, "warm", number))
        for start in range(0, calls, BLOCK):
            for connection, timed in timings.items():
                for number in range(start, start + BLOCK):
                    timed.append(connection.call_ms(chat_request(header, "latency", number)))
    except OSError as error:
        raise SystemFailed(f"{started.system.name}: a call failed: {error}") from None
    finally:
        through.close()
        straight.close()
    p50, p99 = (percentile(timings[through], percent) for percent in (50, 99))
    straight_p50, straight_p99 = (percentile(timings[straight], percent) for percent in (50, 99))
    return (
        LatencyFigures(p50, p99, p50 - straight_p50, p99 - straight_p99),
        LatencyFigures(straight_p50, straight_p99),
    )


def is_complete(response: bytes) -> bool:
    """True when all bytes of an HTTP response are there, by its length or its last chunk."""
    head, found, body = response.partition(b"\r\n\r\n")
    if not found:
        return False
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if found:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n")
