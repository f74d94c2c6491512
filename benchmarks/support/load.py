"""JSON responses at full load: wrk with 16 connections, then how long the recording takes."""

import json
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.support.figures import JsonFigures
from benchmarks.support.processes import Running, SystemFailed

CONNECTIONS = 16
WARM_UP_S = 2
IDLE_S = 3.0
# Longer without one more call on the record, and the rest will not come.
STUCK_S = 10.0
FOLLOW_S = 60.0
SCRIPT = Path(__file__).with_name("chat.lua")


@dataclass(frozen=True)
class Load:
    """The figures of a run of wrk."""

    responses: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_status: int
    broken: int  # connections that failed, and calls without a response in time


def run_wrk(port: int, *, seconds: float, session_header: str, tag: str, first: int = 0) -> Load:
    """Runs full load for so many seconds. Calls are numbered from `first`: no two with one `tag`
    are alike."""
    finished = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(CONNECTIONS)),
            *("--duration", f"{max(1, round(seconds))}s", "--timeout", "30s"),
            *("--script", str(SCRIPT), f"http://127.0.0.1:{port}/v1/chat/completions"),
            *("--", session_header, tag, str(first)),
        ],
        capture_output=True,
        text=True,
    )
    for line in finished.stdout.splitlines():
        if line.startswith("FIGURES "):
            return Load(**json.loads(line.removeprefix("FIGURES ")))
    raise SystemFailed(f"wrk gave no figures: {(finished.stderr or finished.stdout)[-200:]}")


def measure_upstream(port: int, *, seconds: float) -> JsonFigures:
    load = run_wrk(port, seconds=seconds, session_header="x-session-id", tag="direct")
    return _figures(load)


def measure_json(started: Running, *, seconds: float) -> JsonFigures:
    header = started.system.session_header
    run_wrk(started.port, seconds=WARM_UP_S, session_header=header, tag="warm")
    recorded_before = wait_until_recorded(started)
    cpu_before = started.cpu_seconds()

    load = run_wrk(started.port, seconds=seconds, session_header=header, tag="load")
    ended = time.monotonic()
    responses = load.responses - load.bad_status
    backlog = recorded_before + responses - started.n_recorded()
    recorded = wait_until_recorded(started, at_least=recorded_before + responses) - recorded_before
    drain_s = time.monotonic() - ended
    if recorded < responses:
        drain_s -= STUCK_S
    elif not started.system.foreign:  # the sinks' work belongs to the load, not to the idle time
        wait_until_followed(started, recorded_before + responses)
    cpu_after = started.cpu_seconds()
    time.sleep(IDLE_S)
    idle_s = sum(started.cpu_seconds().values()) - sum(cpu_after.values())
    started.check_alive()
    return replace(
        _figures(load),
        cpu_us={
            role: (cpu_after[role] - cpu_before.get(role, 0.0)) / load.responses * 1e6
            for role in cpu_after
        },
        idle_cpu_ms_per_s=idle_s / IDLE_S * 1e3,
        recorded=recorded,
        backlog=max(0, backlog),
        drain_s=drain_s,
    )


def wait_until_recorded(started: Running, at_least: int | None = None) -> int:
    """Poll the count of recorded calls until it is `at_least` so many, or, without that, no longer
    grows for a second; returns the count. Gives up when it has not grown for STUCK_S."""
    patience_s = STUCK_S if at_least is not None else 1.0
    count, grew = started.n_recorded(), time.monotonic()
    while time.monotonic() - grew < patience_s:
        if at_least is not None and count >= at_least:
            break
        time.sleep(0.1)
        now = started.n_recorded()
        if now > count:
            count, grew = now, time.monotonic()
    return count


def wait_until_followed(started: Running, at_least: int) -> int:
    """Polls until `at_least` so many calls are recorded, and the sinks have taken all of them;
    returns the number. Raises SystemFailed when that does not come."""
    count = wait_until_recorded(started, at_least)
    if count < at_least:
        raise SystemFailed(f"{started.system.name}: {count} of {at_least} calls were recorded")
    deadline = time.monotonic() + FOLLOW_S
    while started.n_followed() < count:
        if time.monotonic() > deadline:
            raise SystemFailed(f"{started.system.name}: the sinks have not caught up")
        time.sleep(0.1)
    return count


def _figures(load: Load) -> JsonFigures:
    return JsonFigures(
        calls_per_s=(load.responses - load.bad_status) / load.seconds,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        errors=load.bad_status + load.broken,
        responses=load.responses - load.bad_status,
    )
