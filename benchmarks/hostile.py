"""Measures what the inputs of a hostile caller cost: the proxy, the recorder, and other callers.

    python -m benchmarks.hostile [--mb 64] [--at-once 4] [--only REGEX] [--checkout FOLDER]

Each input of `benchmarks/support/hostile_inputs.py` is sent to a fresh AgentLedger with a model
policy and a budget, by several callers at once, while another agent makes an ordinary call every
10 ms. A call's time counts from when it was due, so that calls which could not even begin count
too. Needs nginx.
"""

import argparse
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.support import machine, standin
from benchmarks.support.chat_requests import chat_request
from benchmarks.support.figures import percentile
from benchmarks.support.hostile_inputs import INPUTS, HostileInput
from benchmarks.support.latency import Connection, is_complete
from benchmarks.support.processes import PROJECT, Running, SystemFailed, running
from benchmarks.support.systems import SYSTEMS, System
from tests.support.provider import Provider

WARM_UP_CALLS = 100
EVERY_S = 0.01
AT_LEAST_S = 2.0
TIMEOUT_S = 300.0
# So long a recorder may take for what was sent before it counts as stuck.
RECORDED_S = 120.0
SERVER = "agentledger-daphne"
SESSION_HEADER = "x-agentledger-session-id"
HEADINGS = (
    "Input",
    "sent, KB",
    "status",
    "others: p50, ms",
    "p99, ms",
    "max, ms",
    "proxy: CPU, s",
    "growth, MB",
    "recorder: CPU, s",
    "growth, MB",
    "recorded after, s",
)


@dataclass
class Figures:
    sent_kb: float
    statuses: set[str] = field(default_factory=set)
    others_ms: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)  # by role
    growth_mb: dict[str, float] = field(default_factory=dict)
    recorded_after_s: float | None = None  # None: not within RECORDED_S

    def cells(self) -> list[str]:
        percentiles = [percentile(self.others_ms, percent) for percent in (50, 99, 100)]
        after = self.recorded_after_s
        return [
            f"{self.sent_kb:,.1f}",
            ", ".join(sorted(self.statuses)),
            *(f"{ms:,.1f}" for ms in percentiles),
            *(
                cell
                for role in ("proxy", "recorder")
                for cell in (
                    f"{self.cpu_s.get(role, float('nan')):.2f}",
                    f"{self.growth_mb.get(role, float('nan')):.0f}",
                )
            ),
            "never" if after is None else f"{after:.1f}",
        ]


def main() -> int:
    options = parse_options()
    if standin.nginx_path() is None:
        say("The benchmark needs nginx: apt-get install nginx-light")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended in order
    machine.use_two_cores()
    print("\n".join([*headings(options), ""]), flush=True)
    print(line(HEADINGS), line(["---", *["---:"] * (len(HEADINGS) - 1)]), sep="\n", flush=True)
    failed = False
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        standin.json_upstream(Path(folder) / "json") as port,
        Provider() as provider,
    ):
        for hostile in INPUTS:
            if not re.search(options.only, hostile.label):
                continue
            say(hostile.label)
            try:
                figures = measure(hostile, options, Path(folder) / "system", port, provider)
            except SystemFailed as error:
                failed = True
                print(line([hostile.label, f"failed: {error}"]), flush=True)
            else:
                print(line([hostile.label, *figures.cells()]), flush=True)
    return 1 if failed else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--mb", type=float, default=64, help="size of a body, decoded")
    parser.add_argument("--at-once", type=int, default=4, help="callers that send the input")
    parser.add_argument("--only", default="", help="inputs whose label matches this expression")
    parser.add_argument("--checkout", type=Path, default=PROJECT, help="the AgentLedger to run")
    options = parser.parse_args()
    options.checkout = options.checkout.resolve()
    return options


def headings(options: argparse.Namespace) -> Iterator[str]:
    yield from (f"- {text}" for text in machine.describe_machine())
    yield (
        f"- {options.at_once} callers at once, bodies of {options.mb:g} MB when decoded; a model"
        " policy and a daily budget apply"
    )


def measure(
    hostile: HostileInput,
    options: argparse.Namespace,
    folder: Path,
    upstream_port: int,
    provider: Provider,
) -> Figures:
    """Starts AgentLedger with a fresh database in `folder`, and attacks it."""
    size = int(options.mb * 2**20)
    provider.reset()
    provider.response(*hostile.response_steps(size))
    request = raw_request(hostile, size)
    figures = Figures(len(request) / 1e3)
    url = f"http://127.0.0.1:{upstream_port}"
    with running(
        system_for(provider.url), sys.executable, url, folder, options.checkout
    ) as started:
        warm_up(started)
        memory_before, cpu_before = started.memory_mb(), started.cpu_seconds()
        started.forget_peak_memory()
        attack(started, request, options.at_once, figures)
        n_calls = WARM_UP_CALLS + len(figures.others_ms) + options.at_once
        figures.recorded_after_s = wait_until_recorded(started, n_calls)
        started.check_alive()
        cpu, peak = started.cpu_seconds(), started.peak_memory_mb()
        figures.cpu_s = {role: s - cpu_before.get(role, 0.0) for role, s in cpu.items()}
        figures.growth_mb = {role: mb - memory_before.get(role, 0.0) for role, mb in peak.items()}
    return figures


def system_for(hostile_url: str) -> System:
    """Returns AgentLedger with admission that looks at bodies, and a second upstream."""
    system = next(system for system in SYSTEMS if system.name == SERVER)
    environment = {
        **system.environment,
        # Doubled braces, as the values of an environment are templates.
        "AGENTLEDGER_UPSTREAMS": f'{{{{"hostile": "{hostile_url}"}}}}',
        "AGENTLEDGER_MODELS_DENY": "denied*",
        "AGENTLEDGER_BUDGET_DAILY": "1000000",
    }
    return replace(system, environment=environment)


def raw_request(hostile: HostileInput, size: int) -> bytes:
    body = hostile.request_body(size)
    lines = [
        f"POST {hostile.path} HTTP/1.1",
        "host: 127.0.0.1",
        f"content-type: {hostile.content_type}",
        f"content-length: {len(body)}",
        f"{SESSION_HEADER}: hostile",
        "x-agentledger-upstream: hostile",
        "connection: close",
        *hostile.headers,
    ]
    if hostile.encoding:
        lines.append(f"content-encoding: {hostile.encoding}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def warm_up(started: Running) -> None:
    with other_agent(started) as connection:
        for number in range(WARM_UP_CALLS):
            connection.call_ms(chat_request(SESSION_HEADER, "warm", number))
    wait_until_recorded(started, WARM_UP_CALLS)


def attack(started: Running, request: bytes, at_once: int, figures: Figures) -> None:
    """Sends the request by several callers at once; an ordinary call is due every EVERY_S until
    all of them have a response."""
    callers = [
        threading.Thread(target=send, args=(started.port, request, figures.statuses), daemon=True)
        for _ in range(at_once)
    ]
    with other_agent(started) as connection:
        began = time.monotonic()
        for caller in callers:
            caller.start()
        number = 0
        while any(caller.is_alive() for caller in callers) or number * EVERY_S < AT_LEAST_S:
            due = began + number * EVERY_S
            time.sleep(max(0.0, due - time.monotonic()))
            connection.call_ms(chat_request(SESSION_HEADER, "other", number))
            figures.others_ms.append((time.monotonic() - due) * 1e3)
            number += 1


def send(port: int, request: bytes, statuses: set[str]) -> None:
    """Adds the status of the response, or what went wrong."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(request)
            response = b""
            while not is_complete(response[:4096]) and (piece := connection.recv(2**20)):
                response = response or piece  # only the beginning is of interest
            statuses.add(response[9:12].decode() or "none")
    except OSError as error:
        statuses.add(type(error).__name__)


@contextmanager
def other_agent(started: Running) -> Iterator[Connection]:
    connection = Connection(started.port)
    connection.socket.settimeout(TIMEOUT_S)
    try:
        yield connection
    except OSError as error:
        raise SystemFailed(f"an ordinary call failed: {error}") from None
    finally:
        connection.close()


def wait_until_recorded(started: Running, n_calls: int) -> float | None:
    """Returns after how many seconds so many calls were recorded; None: not within RECORDED_S."""
    began = time.monotonic()
    while started.n_recorded() < n_calls:
        if time.monotonic() - began > RECORDED_S:
            return None
        time.sleep(0.05)
    return time.monotonic() - began


def line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
