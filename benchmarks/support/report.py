"""The benchmark's table, with ratios."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan

from benchmarks.support.figures import MemorySample, Results
from benchmarks.support.targets import COMPETITOR, DAPHNE, UVICORN, targets

Figure = Callable[[Results], float | None]


@dataclass(frozen=True)
class Row:
    label: str
    figure: Figure
    digits: int = 0


@dataclass(frozen=True)
class Group:
    """Rows that were measured together."""

    title: str
    rows: list[Row]


ROLES = ("proxy", "recorder", "sinks", "other")
RATIOS = ((UVICORN, COMPETITOR), (DAPHNE, COMPETITOR))
NOTE = (
    "¹ Up to 16 more than had a response: calls that were on their way when the load ended are on "
    "the record too."
)


def report(results: dict[str, Results], machine: list[str], failures: list[str]) -> str:
    """The whole report in Markdown. `results` are by system, in the order of the columns."""
    parts = [
        "\n".join(f"- {line}" for line in machine),
        _figures_table(results),
        NOTE if any(one.json for one in results.values()) else "",
        _targets_table(results),
    ]
    if failures:
        parts.append("Failed:\n\n" + "\n".join(f"- {failure}" for failure in failures))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures_table(results: dict[str, Results]) -> str:
    ratios = [(ours, other) for ours, other in RATIOS if ours in results and other in results]
    titles = [*results, *(f"{ours} ÷ {other}" for ours, other in ratios)]
    lines = [_line(["", *titles]), _line(["---", *(["---:"] * len(titles))])]
    for group in _groups(results):
        measured = [line for row in group.rows for line in _figures_lines(row, results, ratios)]
        if measured:
            lines += [_line([f"**{group.title}**", *([""] * len(titles))]), *measured]
    return "\n".join(lines)


def _figures_lines(
    row: Row, results: dict[str, Results], ratios: list[tuple[str, str]]
) -> list[str]:
    """One line, or none when no system has the figure."""
    figures = {name: row.figure(one) for name, one in results.items()}
    if all(figure is None for figure in figures.values()):
        return []
    cells = [_number(figure, row.digits) for figure in figures.values()]
    quotients = [_quotient(figures[ours], figures[other]) for ours, other in ratios]
    return [_line([row.label, *cells, *quotients])]


def _targets_table(results: dict[str, Results]) -> str:
    lines = [_line(["System", "Target", "Bound", "Measured", ""]), "|---|---|---:|---:|---|"]
    for server, target in targets(results):
        bound = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        verdict = "met" if target.is_met else "**not met**"
        lines.append(_line([server, target.text, bound, _number(target.measured, 2), verdict]))
    return "\n".join(lines) if len(lines) > 2 else ""


def _groups(results: dict[str, Results]) -> Iterator[Group]:
    yield Group("JSON responses, 16 connections", _json_rows())
    yield Group("One call at a time", _latency_rows())
    for n in sorted({n for one in results.values() for n in one.streams}):
        yield Group(f"{n} streams at once" if n > 1 else "One stream", _stream_rows(n))
    yield Group("Memory over a long run, MB", _long_run_rows())
    yield Group("Memory under bodies of 100 MB, MB", _large_body_rows())


def _json_rows() -> list[Row]:
    return [
        Row("calls per second", _figure("json", "calls_per_s")),
        Row("latency p50, ms", _figure("json", "p50_ms"), 1),
        Row("latency p99, ms", _figure("json", "p99_ms"), 1),
        Row("errors", _figure("json", "errors")),
        *(Row(f"CPU a call, {role}, µs", _by_role("json", "cpu_us", role)) for role in ROLES),
        Row("CPU a call, all its processes, µs", _figure("json", "total_cpu_us")),
        Row("calls with a response", _figure("json", "responses")),
        Row("calls on the record¹", _figure("json", "recorded")),
        Row("not yet recorded when the load ended", _figure("json", "backlog")),
        Row("until they were, s", _figure("json", "drain_s"), 1),
        Row("CPU when idle after that, ms a second", _figure("json", "idle_cpu_ms_per_s"), 1),
    ]


def _latency_rows() -> list[Row]:
    return [
        Row("latency p50, ms", _figure("latency", "p50_ms"), 2),
        Row("latency p99, ms", _figure("latency", "p99_ms"), 2),
        Row("added p50, ms", _figure("latency", "added_p50_ms"), 2),
        Row("added p99, ms", _figure("latency", "added_p99_ms"), 2),
    ]


def _stream_rows(n: int) -> list[Row]:
    return [
        Row("first chunk p50, ms", _stream(n, "first_p50_ms"), 1),
        Row("first chunk p99, ms", _stream(n, "first_p99_ms"), 1),
        Row("gap between chunks p99, ms", _stream(n, "gap_p99_ms"), 1),
        Row("a stream's longest gap p99, ms", _stream(n, "longest_gap_p99_ms"), 1),
        Row("CPU a chunk, proxy, µs", _stream(n, "cpu_us_per_chunk")),
        Row("streams that failed", _stream(n, "failures")),
        Row("streams on the record", _stream(n, "recorded")),
    ]


def _long_run_rows() -> list[Row]:
    rows = [Row("calls", _sample(lambda samples: samples[-1].calls))]
    for role in ROLES:
        rows += [
            Row(f"{role} at the start", _memory(role, lambda samples: samples[0])),
            Row(f"{role} half-way", _memory(role, lambda samples: samples[len(samples) // 2])),
            Row(f"{role} at the end", _memory(role, lambda samples: samples[-1])),
        ]
    return rows


def _large_body_rows() -> list[Row]:
    figures = {
        "at the start": "before_mb",
        "peak with a request of 100 MB": "upload_peak_mb",
        "peak with a response of 100 MB, read slowly": "response_peak_mb",
    }
    return [
        Row(f"{role}, {label}", _by_role("large_bodies", name, role))
        for role in ROLES
        for label, name in figures.items()
    ]


def _figure(part: str, name: str) -> Figure:
    def figure(one: Results) -> float | None:
        measured = getattr(one, part)
        found: float | None = getattr(measured, name) if measured is not None else None
        return found

    return figure


def _by_role(part: str, name: str, role: str) -> Figure:
    def figure(one: Results) -> float | None:
        measured = getattr(one, part)
        found: float | None = getattr(measured, name).get(role) if measured is not None else None
        return found

    return figure


def _stream(n: int, name: str) -> Figure:
    def figure(one: Results) -> float | None:
        found: float | None = getattr(one.streams[n], name) if n in one.streams else None
        return found

    return figure


def _sample(figure: Callable[[list[MemorySample]], float | None]) -> Figure:
    return lambda one: figure(one.long_run.samples) if one.long_run else None


def _memory(role: str, pick: Callable[[list[MemorySample]], MemorySample]) -> Figure:
    return _sample(lambda samples: pick(samples).mb.get(role))


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(figure: float | None, digits: int) -> str:
    if figure is None or isnan(figure):
        return "—"
    return f"{figure:,.{digits}f}"


def _quotient(ours: float | None, other: float | None) -> str:
    if ours is None or other is None or not other > 0 or isnan(ours):
        return ""
    return f"{ours / other:.2f}"
