"""Compares the CPU time that the recorders of two checkouts take for an ordinary call.

    python -m benchmarks.recording BEFORE [AFTER] [--pairs 7]

BEFORE and AFTER are folders with a `manage.py`; AFTER is this one when it is not given. The proxy
of each writes a spool of few calls and one of many, once, while its recorder is stopped. Then
recorders drain fresh copies of them in turns: what the one with many takes longer is the time of
the calls that it has more, without that of the start. Other work on the machine makes all of it
slower, but hardly adds to the CPU time. Needs nginx.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cost_of_a_call import commit_of, row, say, send_json
from benchmarks.support import machine, standin
from benchmarks.support.paired import coverage
from benchmarks.support.processes import (
    PROJECT,
    START_S,
    Running,
    SystemFailed,
    environment_for,
    number_in,
    running,
)
from benchmarks.support.systems import SYSTEMS

SYSTEM = next(system for system in SYSTEMS if system.name == "agentledger-daphne")
FEW, MANY = 800, 8000


def main() -> int:
    options = parse_options()
    if standin.nginx_path() is None:
        say("The benchmark needs nginx: apt-get install nginx-light")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended in order
    machine.use_two_cores()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        pairs = list(measure_pairs(options, Path(folder)))
    share = f"{coverage(options.pairs):.1%}".replace("%", " %")
    print(*(f"- {line}" for line in machine.describe_machine()), sep="\n")
    print(f"- before: {commit_of(options.before)}, after: {commit_of(options.after)}")
    print(f"- {options.pairs} pairs of {MANY - FEW:,} JSON calls; SQLite, the recorder alone")
    print(f"- columns before and after: medians; intervals: sign test, {share} for the median\n")
    print("| | | before | after | difference | interval | ratio | interval |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    print(row("recorder", "JSON, µs a call", pairs))
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recording",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("before", type=Path, help="the folder of a checkout")
    parser.add_argument("after", type=Path, nargs="?", default=PROJECT, help="another")
    parser.add_argument("--pairs", type=int, default=7, help="95 %% needs at least six")
    options = parser.parse_args()
    for checkout in (options.before, options.after):
        if not (checkout / "manage.py").is_file():
            parser.error(f"{checkout} has no manage.py")
    options.before, options.after = options.before.resolve(), options.after.resolve()
    return options


def measure_pairs(options: argparse.Namespace, folder: Path) -> Iterator[tuple[float, float]]:
    """Yields µs a call before and after."""
    checkouts = {"before": options.before, "after": options.after}
    with standin.json_upstream(folder / "json") as port:
        for name, checkout in checkouts.items():
            for calls in (FEW, MANY):
                say(f"{name}: a spool of {calls:,} calls")
                make_spool(checkout, calls, folder / f"{name}-{calls}", f"http://127.0.0.1:{port}")
    for number in range(options.pairs):
        taken = {}
        for name in sorted(checkouts, reverse=bool(number % 2)):
            few, many = (
                cpu_seconds(checkouts[name], calls, folder / f"{name}-{calls}")
                for calls in (FEW, MANY)
            )
            taken[name] = (many - few) / (MANY - FEW) * 1e6
        say(f"pair {number + 1}: before {taken['before']:.0f} µs, after {taken['after']:.0f} µs")
        yield taken["before"], taken["after"]


def make_spool(checkout: Path, calls: int, kept: Path, upstream_url: str) -> None:
    """Leaves in the folder `kept` a ledger and the spool of calls that it does not have yet."""
    with running(SYSTEM, sys.executable, upstream_url, kept.with_suffix(".run"), checkout) as proxy:
        stop_children(proxy)
        send_json(proxy, calls, "json")
        for pid in proxy.processes():
            os.kill(pid, signal.SIGKILL)
        proxy.process.wait()
        shutil.copytree(proxy.folder, kept, ignore=shutil.ignore_patterns("doorbell"))


def stop_children(proxy: Running) -> None:
    deadline = time.monotonic() + START_S
    while not {"recorder", "sinks"} <= set(proxy.processes().values()):
        if time.monotonic() > deadline:
            raise SystemFailed(f"{proxy.system.name}: its recorder and its sinks did not start")
        time.sleep(0.05)
    for pid in proxy.processes().keys() - {proxy.process.pid}:
        os.kill(pid, signal.SIGSTOP)


def cpu_seconds(checkout: Path, calls: int, kept: Path) -> float:
    """The CPU time in which a recorder records all calls of the spool."""
    folder = shutil.copytree(kept, kept.with_suffix(".copy"))
    values: dict[str, object] = {"folder": folder, "port": 0, "upstream_url": "http://127.0.0.1:9"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [sys.executable, "manage.py", "runrecorder", "--until-stdin-closes"],
        env=environment_for(SYSTEM, values, checkout),
        cwd=checkout,
        input="",  # closed at once: the recorder ends when it has recorded all
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if (n_recorded := number_in(folder, SYSTEM.count_sql)) != calls:
        raise SystemFailed(f"{n_recorded} of {calls} calls were recorded: {finished.stderr[-400:]}")
    shutil.rmtree(folder)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
