"""Compares the CPU time of a call in two checkouts of AgentLedger, pair by pair.

    python -m benchmarks.cost_of_a_call BEFORE [AFTER] [--pairs 9] [--calls 2000]

BEFORE and AFTER are folders with a `manage.py`; AFTER is this one when it is not given. Both run on
the Python that runs this, in front of the same stand-in provider, with fresh databases. Pairs take
turns in their order (before, after; after, before; …), so that a drift of the machine's speed hits
both alike. The CPU time, user and system, of proxy, recorder and sinks is taken before the calls
and after them, each time when the recorder and the sinks have caught up. Needs nginx.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.support import machine, standin
from benchmarks.support.chat_requests import chat_request
from benchmarks.support.json_client import send_all
from benchmarks.support.load import wait_until_followed
from benchmarks.support.paired import coverage, estimate
from benchmarks.support.processes import PROJECT, Running, SystemFailed, running
from benchmarks.support.streams import run_streams
from benchmarks.support.systems import MIGRATE, SYSTEMS, System

SERVERS = {name: f"agentledger-{name}" for name in ("uvicorn", "daphne")}
CONNECTIONS = 16
WARM_UP_CALLS = 200
STREAM_UPSTREAM = "stream"
STREAM_HEADERS = (f"x-agentledger-upstream: {STREAM_UPSTREAM}",)
STREAMS, WARM_UP_STREAMS, CHUNKS = 64, 4, 30
ROLES = ("proxy", "recorder", "sinks")

Figures = dict[str, float]
"""By the label of a row: µs of CPU a call, or ms of start-up."""


@dataclass(frozen=True)
class Pair:
    before: Figures
    after: Figures


@dataclass(frozen=True)
class Upstreams:
    """The ports of the stand-in providers."""

    json: int
    stream: int


def main() -> int:
    options = parse_options()
    if standin.nginx_path() is None:
        say("The benchmark needs nginx: apt-get install nginx-light")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended in order
    machine.use_two_cores()
    pairs: dict[str, list[Pair]] = defaultdict(list)
    failure = ""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        try:
            measure_pairs(options, Path(folder), pairs)
        except SystemFailed as error:
            failure = f"\nFailed, the rest was not measured: {error}"
        except KeyboardInterrupt:
            failure = "\nInterrupted: the rest was not measured."
    print("\n".join([*headings(options), "", *table(pairs)]) + failure)
    return 1 if failure else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cost_of_a_call",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("before", type=Path, help="the folder of a checkout")
    parser.add_argument("after", type=Path, nargs="?", default=PROJECT, help="another")
    parser.add_argument("--pairs", type=int, default=9, help="of runs; 95 %% needs at least six")
    parser.add_argument("--calls", type=int, default=2000, help="JSON calls a run")
    parser.add_argument("--servers", default=",".join(SERVERS), help="of uvicorn, daphne")
    options = parser.parse_args()
    options.servers = options.servers.split(",")
    if unknown := set(options.servers) - set(SERVERS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    for checkout in (options.before, options.after):
        if not (checkout / "manage.py").is_file():
            parser.error(f"{checkout} has no manage.py")
    options.before, options.after = options.before.resolve(), options.after.resolve()
    return options


def measure_pairs(options: argparse.Namespace, folder: Path, pairs: dict[str, list[Pair]]) -> None:
    """Adds each pair to `pairs`, by server, as soon as it is measured."""
    with (
        standin.json_upstream(folder / "json") as json_port,
        standin.stream_upstream(folder / "stream", chunks=CHUNKS) as stream_port,
    ):
        upstreams = Upstreams(json_port, stream_port)
        for number in range(options.pairs):
            for server in options.servers:
                say(f"pair {number + 1} of {options.pairs}: {server}")
                checkouts = (options.before, options.after)
                figures = [
                    measure(server, checkout, folder / "system", upstreams, options.calls)
                    for checkout in (reversed(checkouts) if number % 2 else checkouts)
                ]
                pairs[server].append(Pair(*(reversed(figures) if number % 2 else figures)))


def measure(server: str, checkout: Path, folder: Path, upstreams: Upstreams, calls: int) -> Figures:
    """Starts the checkout's system with a fresh database in `folder`, and calls it."""
    system = system_for(server, upstreams.stream)
    url = f"http://127.0.0.1:{upstreams.json}"
    with running(system, sys.executable, url, folder, checkout) as started:
        send_json(started, WARM_UP_CALLS, "warm")
        send_streams(started, WARM_UP_STREAMS, "warm-stream")
        wait_until_followed(started, WARM_UP_CALLS + WARM_UP_STREAMS)
        figures = {"start-up to `/health`, ms": started.start_up_s * 1e3}

        before = started.cpu_seconds()
        send_json(started, calls, "json")
        n_calls = wait_until_followed(started, WARM_UP_CALLS + WARM_UP_STREAMS + calls)
        between = started.cpu_seconds()
        figures |= cpu_us("JSON", before, between, calls)
        send_streams(started, STREAMS, "stream")
        wait_until_followed(started, n_calls + STREAMS)
        figures |= cpu_us(f"stream of {CHUNKS} chunks", between, started.cpu_seconds(), STREAMS)
        started.check_alive()
    return figures


def system_for(server: str, stream_port: int) -> System:
    """The server, with the database made before its start, so that a start does not include it."""
    system = next(system for system in SYSTEMS if system.name == SERVERS[server])
    # Doubled braces, as the values of an environment are templates.
    upstreams = f'{{{{"{STREAM_UPSTREAM}": "http://127.0.0.1:{stream_port}"}}}}'
    environment = {**system.environment, "AGENTLEDGER_UPSTREAMS": upstreams}
    return replace(system, environment=environment, prepare=MIGRATE)


def send_json(started: Running, calls: int, tag: str) -> None:
    header = started.system.session_header
    requests = (chat_request(header, tag, number) for number in range(calls))
    try:
        n_succeeded = send_all(started.port, requests, connections=CONNECTIONS)
    except (OSError, TimeoutError) as error:
        raise SystemFailed(f"{started.system.name}: a call failed: {error}") from None
    if n_succeeded != calls:
        raise SystemFailed(f"{started.system.name}: {n_succeeded} of {calls} calls succeeded")


def send_streams(started: Running, streams: int, tag: str) -> None:
    figures = run_streams(
        started.port,
        streams=streams,
        chunks=CHUNKS,
        session_header=started.system.session_header,
        tag=tag,
        headers=STREAM_HEADERS,
    )
    if figures.failures:
        raise SystemFailed(f"{started.system.name}: {figures.failures} streams failed")


def cpu_us(kind: str, before: Figures, after: Figures, calls: int) -> Figures:
    """µs of CPU a call by role and in sum, of CPU seconds by role."""
    used = {role: (after.get(role, 0) - before.get(role, 0)) / calls * 1e6 for role in ROLES}
    figures = {f"{kind}: {role}, µs a call": cpu for role, cpu in used.items()}
    return {**figures, f"{kind}: together, µs a call": sum(used.values())}


def headings(options: argparse.Namespace) -> list[str]:
    share = f"{coverage(options.pairs):.1%}".replace("%", " %")
    return [
        *(f"- {line}" for line in machine.describe_machine()),
        f"- before: {commit_of(options.before)}, after: {commit_of(options.after)}",
        f"- {options.pairs} pairs, {options.calls} JSON calls over {CONNECTIONS} connections and"
        f" {STREAMS} streams of {CHUNKS} chunks each; SQLite, no access logs",
        f"- columns before and after: medians; intervals: sign test, {share} for the median",
    ]


def table(pairs: dict[str, list[Pair]]) -> Iterator[str]:
    """Yields the lines in Markdown. Differences and ratios are those of pairs: after − before, and
    after ÷ before."""
    yield "| Server | | before | after | difference | interval | ratio | interval |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for server, measured in pairs.items():
        for label in measured[0].before:
            yield row(server, label, [(pair.before[label], pair.after[label]) for pair in measured])


def row(server: str, label: str, values: list[tuple[float, float]]) -> str:
    before = estimate([first for first, _ in values]).median
    after = estimate([second for _, second in values]).median
    difference = estimate([second - first for first, second in values])
    ratio = estimate([second / first if first else float("nan") for first, second in values])
    cells = [
        server,
        label,
        f"{before:.0f}",
        f"{after:.0f}",
        f"{difference.median:+.0f}",
        f"{difference.low:+.0f} … {difference.high:+.0f}",
        f"{ratio.median:.3f}",
        f"{ratio.low:.3f} … {ratio.high:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def say(text: str) -> None:
    """Progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


def commit_of(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or "not a repository"


if __name__ == "__main__":
    sys.exit(main())
