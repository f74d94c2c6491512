"""Measures the tail of the latency that AgentLedger adds to paced calls, and its CPU at rest.

    python -m benchmarks.latency [--server daphne] [--per-second 200] [--seconds 20] [--rest 20]

Calls go out one at a time at a steady pace, in turn through the proxy and straight to the stand-in
provider, so that both see the same disturbances of the machine. The proxy's own part is the
difference of the two. Then all processes are left at rest, and their CPU time is counted. A
database other than SQLite is named by --dsn, Redis by --redis. Needs nginx.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from benchmarks.support import machine, standin
from benchmarks.support.chat_requests import chat_request
from benchmarks.support.figures import percentile
from benchmarks.support.latency import Connection
from benchmarks.support.processes import PROJECT, Running, SystemFailed, running
from benchmarks.support.systems import MIGRATE, SYSTEMS, System

WARM_UP_CALLS = 200
SETTLE_S = 5.0  # the sinks start later than the proxy
FOLLOW_S = 60.0


def main() -> int:
    options = parse_options()
    if standin.nginx_path() is None:
        print("The benchmark needs nginx: apt-get install nginx-light", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended in order
    machine.use_two_cores()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        with standin.json_upstream(folder / "json") as upstream:
            url = f"http://127.0.0.1:{upstream}"
            system = system_for(options)
            with running(
                system, sys.executable, url, folder / "system", options.checkout
            ) as started:
                through, straight = measure_paced(started, upstream, options)
                print("\n".join(describe_latency(through, straight)))
                n_calls = WARM_UP_CALLS + len(through)
                print("\n".join(describe_rest(measure_rest(started, n_calls, options.rest))))
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--server", choices=("daphne", "uvicorn"), default="daphne")
    parser.add_argument("--checkout", type=Path, default=PROJECT, help="the AgentLedger to run")
    parser.add_argument("--per-second", type=int, default=200, help="calls through the proxy")
    parser.add_argument("--seconds", type=float, default=20.0, help="of paced calls")
    parser.add_argument("--rest", type=float, default=20.0, help="seconds at rest")
    parser.add_argument("--dsn", help="the database, if not a new SQLite file")
    parser.add_argument("--redis", help="AGENTLEDGER_REDIS_URL")
    options = parser.parse_args()
    options.checkout = options.checkout.resolve()
    return options


def system_for(options: argparse.Namespace) -> System:
    system = next(one for one in SYSTEMS if one.name == f"agentledger-{options.server}")
    environment = dict(system.environment)
    if options.dsn:
        environment["AGENTLEDGER_DSN"] = options.dsn
    if options.redis:
        environment["AGENTLEDGER_REDIS_URL"] = options.redis
    return replace(system, environment=environment, prepare=MIGRATE)


# --- latency ---


def measure_paced(
    started: Running, upstream: int, options: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Returns the milliseconds of the calls through the proxy, and of those straight to the
    stand-in."""
    header = started.system.session_header
    through, straight = Connection(started.port), Connection(upstream)
    timings: dict[Connection, list[float]] = {through: [], straight: []}
    try:
        for number in range(WARM_UP_CALLS):
            through.call_ms(chat_request(header, "warm", number))
            straight.call_ms(chat_request(header, "warm", number))
        interval_s = 0.5 / options.per_second  # between a call through and one straight
        due = time.monotonic()
        for number in range(round(options.per_second * options.seconds)):
            for connection, timed in timings.items():
                request = chat_request(header, "paced", number)
                time.sleep(max(0.0, due - time.monotonic()))
                timed.append(connection.call_ms(request))
                due = max(due + interval_s, time.monotonic())
    except OSError as error:
        raise SystemFailed(f"{started.system.name}: a call failed: {error}") from None
    finally:
        through.close()
        straight.close()
    return timings[through], timings[straight]


def describe_latency(through: list[float], straight: list[float]) -> list[str]:
    percents = (50, 90, 99, 99.9)
    of_through = [percentile(through, percent) for percent in percents]
    of_straight = [percentile(straight, percent) for percent in percents]
    own = [one - other for one, other in zip(of_through, of_straight, strict=True)]
    rows = {"through the proxy": of_through, "straight": of_straight, "the proxy's own part": own}
    lines = [f"{'ms':<22}" + "".join(f"{f'p{percent}':>9}" for percent in percents)]
    lines += [f"{n:<22}" + "".join(f"{ms:9.2f}" for ms in values) for n, values in rows.items()]
    return [*lines, f"p99 ÷ p50 of its own part: {own[2] / own[0]:.2f}"]


# --- rest ---


def measure_rest(started: Running, n_calls: int, seconds: float) -> dict[str, float]:
    """Returns ms of CPU a second by role, once all calls are recorded and followed."""
    wait_until_followed(started, n_calls)
    time.sleep(SETTLE_S)
    before, began = started.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    after, elapsed_s = started.cpu_seconds(), time.monotonic() - began
    return {role: (after[role] - before.get(role, 0)) * 1e3 / elapsed_s for role in after}


def wait_until_followed(started: Running, n_calls: int) -> None:
    """Asks /readyz, which knows of every database."""
    deadline = time.monotonic() + FOLLOW_S
    while time.monotonic() < deadline:
        with (
            suppress(OSError),
            urllib.request.urlopen(
                f"http://127.0.0.1:{started.port}/readyz", timeout=5
            ) as response,
        ):
            sinks = json.load(response)["sinks"]
            if sinks and all(sink["seq"] >= n_calls for sink in sinks):
                return
        time.sleep(0.2)
    raise SystemFailed(f"{started.system.name}: the sinks did not take all calls in {FOLLOW_S} s")


def describe_rest(cpu_ms: dict[str, float]) -> list[str]:
    lines = [f"{role:<22}{ms:9.2f}" for role, ms in cpu_ms.items()]
    return ["CPU at rest, ms a second", *lines, f"{'together':<22}{sum(cpu_ms.values()):9.2f}"]


if __name__ == "__main__":
    sys.exit(main())
