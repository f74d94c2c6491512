"""Measures streams at once: first chunk, gaps between chunks, and the proxy's CPU a chunk."""

import json
import subprocess
import sys
from dataclasses import replace

from benchmarks.support.figures import StreamFigures
from benchmarks.support.load import wait_until_recorded
from benchmarks.support.processes import PROJECT, Running, SystemFailed


def measure_streams(started: Running, *, streams: int, chunks: int) -> StreamFigures:
    header, port = started.system.session_header, started.port
    # The first calls of a process pay for what is loaded late.
    run_streams(port, streams=4, chunks=chunks, session_header=header, tag=f"warm{streams}")
    recorded_before = wait_until_recorded(started)
    before = started.cpu_seconds()
    figures = run_streams(
        port, streams=streams, chunks=chunks, session_header=header, tag=f"at{streams}"
    )
    whole = streams - figures.failures
    recorded = wait_until_recorded(started, at_least=recorded_before + whole) - recorded_before
    started.check_alive()
    proxy_s = started.cpu_seconds()["proxy"] - before["proxy"]
    cpu_us_per_chunk = proxy_s / (streams * chunks) * 1e6
    return replace(figures, cpu_us_per_chunk=cpu_us_per_chunk, recorded=recorded)


def run_streams(
    port: int,
    *,
    streams: int,
    chunks: int,
    session_header: str = "x-session-id",
    tag: str = "-",
    headers: tuple[str, ...] = (),
) -> StreamFigures:
    """Sends the streams from a process of their own; `headers` are lines to add to each request."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.support.stream_client"),
            *(str(port), str(streams), str(chunks), session_header, tag, *headers),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    if finished.returncode != 0:
        raise SystemFailed(f"the streaming client failed: {finished.stderr[-300:]}")
    return StreamFigures(**json.loads(finished.stdout))
