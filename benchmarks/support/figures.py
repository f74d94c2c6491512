"""The figures that are measured of a system, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True)
class JsonFigures:
    """Figures of JSON responses at full load. CPU is µs a call by role, until all were recorded."""

    calls_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    responses: int
    cpu_us: dict[str, float] = field(default_factory=dict)
    idle_cpu_ms_per_s: float | None = None  # of all its processes, once everything is recorded
    recorded: int | None = None
    backlog: int | None = None  # had a response and were not recorded when the load ended
    drain_s: float | None = None  # from the end of the load to the last call recorded

    @property
    def total_cpu_us(self) -> float | None:
        return sum(self.cpu_us.values()) if self.cpu_us else None


@dataclass(frozen=True)
class LatencyFigures:
    """Figures of one call at a time. `added` is the difference to the calls made straight to the
    stand-in in turn with them; None for the stand-in itself."""

    p50_ms: float
    p99_ms: float
    added_p50_ms: float | None = None
    added_p99_ms: float | None = None


@dataclass(frozen=True)
class StreamFigures:
    """Figures of streams at once; NaN when no stream was complete."""

    first_p50_ms: float
    first_p99_ms: float
    gap_p99_ms: float  # of all gaps between chunks
    longest_gap_p99_ms: float  # of each stream's longest gap
    failures: int
    cpu_us_per_chunk: float | None = None  # of the proxy's process, until all was recorded
    recorded: int | None = None


@dataclass(frozen=True)
class MemorySample:
    calls: int  # that had a response until then
    mb: dict[str, float]  # resident memory by role


@dataclass(frozen=True)
class LongRunFigures:
    samples: list[MemorySample]

    def growth_mb(self, role: str) -> float:
        """The growth from the first sample after a fifth of the calls, as caches fill at first."""
        last = self.samples[-1]
        settled = next(sample for sample in self.samples if sample.calls * 5 >= last.calls)
        return last.mb.get(role, float("nan")) - settled.mb.get(role, float("nan"))


@dataclass(frozen=True)
class LargeBodyFigures:
    """Resident memory by role: before, and the peak of each call until it was recorded."""

    before_mb: dict[str, float]
    upload_peak_mb: dict[str, float]
    response_peak_mb: dict[str, float]


@dataclass
class Results:
    """The figures of one system. They are None or absent when not measured, or when it failed."""

    json: JsonFigures | None = None
    latency: LatencyFigures | None = None
    streams: dict[int, StreamFigures] = field(default_factory=dict)  # by streams at once
    long_run: LongRunFigures | None = None
    large_bodies: LargeBodyFigures | None = None


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by nearest rank; NaN when there are no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
