"""Measures the proxy beside `agentic-ledger` from PyPI and the bare upstream, in one run.

    python -m benchmarks.proxy [--quick] [--markdown FILE]

Needs nginx and wrk from the system's packages and our development requirements. Each system in
turn is started, with a fresh database, in front of the same stand-in provider, on two cores.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from benchmarks.support import latency, load, machine, memory, standin, stream_client, streams
from benchmarks.support.figures import Results
from benchmarks.support.processes import Running, SystemFailed, running
from benchmarks.support.report import report
from benchmarks.support.systems import SYSTEMS, System
from benchmarks.support.targets import DIRECT

COMPETITOR_REQUIREMENTS = ("agentic-ledger==0.15.*", "uvicorn[standard]")


@dataclass(frozen=True)
class Options:
    kinds: list[str]
    systems: list[System]
    seconds: float
    latency_calls: int
    stream_counts: list[int]
    chunks: int
    memory_calls: int
    competitor_python: str  # "": to be installed
    markdown: Path | None


@dataclass
class Benchmark:
    """One run: its options, its folder, and its results so far."""

    options: Options
    folder: Path
    results: dict[str, Results] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def json(self) -> None:
        seconds = self.options.seconds

        def measure(started: Running, results: Results) -> None:
            results.json = load.measure_json(started, seconds=seconds)

        with standin.json_upstream(self.folder / "upstream") as upstream_port:
            self._results_of(DIRECT).json = load.measure_upstream(upstream_port, seconds=seconds)
            self._each_system("json", upstream_port, measure)

    def latency(self) -> None:
        def measure(started: Running, results: Results) -> None:
            calls = self.options.latency_calls
            figures = latency.measure_latency(started, upstream_port, calls=calls)
            results.latency, self._results_of(DIRECT).latency = figures

        with standin.json_upstream(self.folder / "upstream") as upstream_port:
            self._each_system("latency", upstream_port, measure)

    def streams(self) -> None:
        chunks = self.options.chunks

        def measure(started: Running, results: Results) -> None:
            for n in self.options.stream_counts:
                figures = streams.measure_streams(started, streams=n, chunks=chunks)
                results.streams[n] = figures

        with standin.stream_upstream(self.folder / "upstream", chunks=chunks) as upstream_port:
            for n in self.options.stream_counts:
                figures = streams.run_streams(upstream_port, streams=n, chunks=chunks)
                self._results_of(DIRECT).streams[n] = figures
            self._each_system("streams", upstream_port, measure)

    def memory(self) -> None:
        def measure_long_run(started: Running, results: Results) -> None:
            calls = self.options.memory_calls
            results.long_run = memory.measure_long_run(started, calls=calls)

        def measure_large_bodies(started: Running, results: Results) -> None:
            results.large_bodies = memory.measure_large_bodies(started)

        with standin.json_upstream(self.folder / "upstream") as upstream_port:
            self._each_system("long run", upstream_port, measure_long_run)
        with standin.stream_upstream(self.folder / "upstream", chunks=1) as upstream_port:
            self._each_system("large bodies", upstream_port, measure_large_bodies)

    def _each_system(
        self, kind: str, upstream_port: int, measure: Callable[[Running, Results], None]
    ) -> None:
        """Measures each in turn; one that fails is reported, and does not stop the others."""
        for system in self.options.systems:
            say(f"{kind}: {system.name}")
            python = self.options.competitor_python if system.foreign else sys.executable
            upstream_url = f"http://127.0.0.1:{upstream_port}"
            folder = self.folder / "system"
            try:
                with running(system, python, upstream_url, folder) as started:
                    measure(started, self._results_of(system.name))
            except SystemFailed as error:
                self.failures.append(f"{kind}: {error}")
                say(f"failed: {error}")

    def _results_of(self, name: str) -> Results:
        return self.results.setdefault(name, Results())


KINDS: dict[str, Callable[[Benchmark], None]] = {
    "json": Benchmark.json,
    "latency": Benchmark.latency,
    "streams": Benchmark.streams,
    "memory": Benchmark.memory,
}


def main() -> int:
    options = parse_options()
    nginx = standin.nginx_path()
    if nginx is None or shutil.which("wrk") is None:
        say("The benchmark needs nginx and wrk: apt-get install nginx-light wrk")
        return 2
    signal.signal(signal.SIGTERM, _interrupt)  # so that what was started is ended in order
    machine.use_two_cores()
    try:
        return run(options, nginx)
    except KeyboardInterrupt:
        say("interrupted; what was started is stopped")
        return 130


def run(options: Options, nginx: str) -> int:
    """Measures and prints the report; returns the exit code, 1 when anything failed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        if any(system.foreign for system in options.systems) and not options.competitor_python:
            python = install_competitor(Path(folder) / "competitor")
            options = replace(options, competitor_python=python)
        benchmark = Benchmark(options, Path(folder))
        about = machine.describe(nginx=nginx, competitor_python=options.competitor_python)
        for kind in options.kinds:
            try:
                KINDS[kind](benchmark)
            except SystemFailed as error:  # the stand-in or the load itself
                benchmark.failures.append(f"{kind}: {error}")
        order = {DIRECT: Results(), **{system.name: Results() for system in options.systems}}
        text = report(
            {**order, **benchmark.results}, [*about, _settings(options)], benchmark.failures
        )
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    return 1 if benchmark.failures else 0


def parse_options() -> Options:
    """Reads the command line. `--quick` shortens what no other option sets."""
    names = [system.name for system in SYSTEMS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxy",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--only", type=_names(list(KINDS)), default=list(KINDS), help="what to measure")
    add("--systems", type=_names(names), default=names, help="which systems")
    add("--seconds", type=float, help="of JSON load for each (10, quick: 4)")
    add("--latency-calls", type=int, help="one at a time, for each (4000, quick: 2000)")
    add("--streams", type=_numbers, help="at once (1,16,64,256,512; quick: 1,64,256)")
    add("--chunks", type=int, help="of each stream, at 20 a second (60, quick: 30)")
    add("--memory-calls", type=int, help="of the long run, for each (50000, quick: 5000)")
    add("--quick", action="store_true", help="shorter runs")
    add("--competitor-python", help="an interpreter with agentic-ledger; installs it if not given")
    add("--markdown", type=Path, metavar="FILE", help="write the report there too")
    given = parser.parse_args()
    short = given.quick
    return Options(
        kinds=given.only,
        systems=[system for system in SYSTEMS if system.name in given.systems],
        seconds=given.seconds or (4 if short else 10),
        latency_calls=given.latency_calls or (2_000 if short else 4_000),
        stream_counts=given.streams or ([1, 64, 256] if short else [1, 16, 64, 256, 512]),
        chunks=given.chunks or (30 if short else 60),
        memory_calls=given.memory_calls or (5_000 if short else 50_000),
        competitor_python=given.competitor_python or "",
        markdown=given.markdown,
    )


def install_competitor(folder: Path) -> str:
    """Installs it into a virtual environment of its own; returns the interpreter."""
    say(f"installing {' '.join(COMPETITOR_REQUIREMENTS)}")
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *COMPETITOR_REQUIREMENTS], check=True
    )
    return python


def say(text: str) -> None:
    """Progress, apart from the report."""
    print(text, file=sys.stderr, flush=True)


def _settings(options: Options) -> str:
    of_kind = {
        "json": f"JSON: {options.seconds:g} s of load over {load.CONNECTIONS} connections",
        "latency": f"one at a time: {options.latency_calls} calls",
        "streams": f"streams: {options.chunks} chunks of each, 20 a second, all started within "
        f"{stream_client.SPREAD_S:g} s",
        "memory": f"memory: {options.memory_calls} calls",
    }
    settings = [of_kind[kind] for kind in options.kinds]
    return "; ".join([*settings, "SQLite, no access logs"])


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return text.split(",")

    return parse


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
