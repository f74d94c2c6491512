"""Sums by hour or by day from the rollups, of all calls or in groups. No call is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from capture.ledger.bulk_sql import chunks, table_name
from capture.ledger.histogram import to_integer
from capture.ledger.rollup_sums import (
    CALLS,
    COST,
    COST_UNKNOWN,
    DAY,
    FIGURES,
    HOUR,
    KINDS,
    NO_CALLS,
    Counts,
    Names,
    add_counts,
    row_id,
)
from capture.ledger.rollups import key_digest
from capture.models import Rollup, RollupKey

# One by one they take a third longer to be fetched.
ROWS_AT_ONCE = 2000

Name = str | None
"""The name of a group; None: the calls that have no such name."""
Filters = Mapping[str, str]
"""The values that calls must have, by name."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period in hours since 1970, UTC. With `by_day`, whole days are read from the rows of
    days."""

    begin: int
    end: int  # the first hour after it
    by_day: bool
    is_to_now: bool  # no call is later than its end

    def start_of(self, hour: int) -> int:
        """Returns the start of the hour's hour or day, within the period."""
        return max(self.begin, hour - hour % 24) if self.by_day else hour

    def spans(self) -> list[tuple[int, int, int]]:
        """Returns the rows to read: their span, the first hour, and the first hour after them."""
        if not self.by_day:
            return [(HOUR, self.begin, self.end)]
        first_day = -(-self.begin // 24) * 24
        # The row of the current day has all its calls so far.
        last_day = (-(-self.end // 24) if self.is_to_now else self.end // 24) * 24
        if first_day >= last_day:
            return [(HOUR, self.begin, self.end)]
        spans = [(HOUR, self.begin, first_day), (DAY, first_day, last_day)]
        return [span for span in (*spans, (HOUR, last_day, self.end)) if span[1] < span[2]]


@dataclass(slots=True)
class Total:
    """Sums of figures; histograms are integers."""

    counts: Counts = NO_CALLS
    latency: int = 0
    ttft: int = 0

    def add(self, other: Total) -> None:
        self.counts = add_counts(self.counts, other.counts)
        self.latency += other.latency
        self.ttft += other.ttft

    def minus(self, other: Total) -> Total:
        """Returns the difference. A sum that becomes 0 may be one of unknown values, so it is
        None."""
        negative = tuple(None if count is None else -count for count in other.counts)
        counts: list[Any] = [
            count if index <= COST_UNKNOWN else count or None
            for index, count in enumerate(add_counts(self.counts, negative))
        ]
        if counts[COST_UNKNOWN] < counts[CALLS]:
            counts[COST] = counts[COST] or 0
        return Total(tuple(counts), self.latency - other.latency, self.ttft - other.ttft)


Series = dict[int, Total]
"""Sums by the first hour of the hour or day."""


@dataclass(frozen=True, slots=True)
class Summary:
    """`groups` are the most expensive ones, then those with the most calls; `rest` sums the
    others."""

    total: Series
    groups: dict[Name, Series]
    rest: Series


def summary(period: Period, by: str | None, filters: Filters, most_groups: int) -> Summary:
    """Returns the sums of the calls that match `filters`, in groups by the name `by`, and of all
    other groups. Names are among `ALL_NAMES`; `user_id` cannot be combined with another name."""
    names = {*filters, by} - {None}
    if len(names) > 1:
        return _of_combinations(period, by, filters, most_groups)
    if filters:
        [(name, value)] = filters.items()
        kind = KINDS.index((name,))
        series = _of_keys(period, kind, _key_ids(kind, [(value,)]))
        found = next(iter(series.values()), {})
        return Summary(found, {value: found} if by and found else {}, {})
    groups = _most_expensive(period, by, most_groups) if by else {}
    # Read last: calls that are recorded meanwhile are in the rest, and no group exceeds the total.
    kind = KINDS.index(())
    total = next(iter(_of_keys(period, kind, _key_ids(kind, [()])).values()), {})
    return Summary(total, groups, _rest(total, groups) if by else {})


def total_of(series: Series) -> Total:
    total = Total()
    for one in series.values():
        total.add(one)
    return total


# --- groups by one name, or all calls: each group has rows of its own ---


def _most_expensive(period: Period, by: str, most_groups: int) -> dict[Name, Series]:
    kind = KINDS.index((by,))
    ids = _most_expensive_keys(period, kind, most_groups)
    names = dict(RollupKey.objects.filter(pk__in=ids).values_list("id", by))
    series = _of_keys(period, kind, ids)
    return {names[id_]: series[id_] for id_ in ids if id_ in series}


def _rest(total: Series, groups: Mapping[Name, Series]) -> Series:
    in_groups = _merge(groups.values())
    rest = {}
    for start, all_calls in total.items():
        left = all_calls.minus(in_groups[start]) if start in in_groups else all_calls
        if left.counts[CALLS]:
            rest[start] = left
    return rest


def _key_ids(kind: int, several: Iterable[Names | None]) -> list[int]:
    digests = [key_digest((kind, names)) for names in several]
    return list(RollupKey.objects.filter(digest__in=digests).values_list("id", flat=True))


def _most_expensive_keys(period: Period, kind: int, most: int) -> list[int]:
    where, parameters = rows_in(period, kind)
    [other] = _key_ids(kind, [None]) or [0]
    return [
        id_
        for id_, *_ in read_rows(
            # Floats: SQLite fails where a sum of integers overflows, PostgreSQL sums them slowly.
            "SELECT key_id, SUM(CAST(call_count AS double precision)) AS n,"
            " COALESCE(SUM(CAST(cost AS double precision)), 0) AS usd"
            f" FROM {table_name(Rollup)} r WHERE ({where}) AND key_id <> %s"
            " GROUP BY key_id ORDER BY usd DESC, n DESC, key_id LIMIT %s",
            [*parameters, other, most],
        )
    ]


def _of_keys(period: Period, kind: int, keys: Collection[int]) -> dict[int, Series]:
    ids = [
        row_id((span, kind, hour), key)
        for span, begin, end in period.spans()
        for hour in range(begin, end, 24 if span == DAY else 1)
        for key in keys
    ]
    found: dict[int, Series] = {}
    for batch in chunks(ids):
        marks = ", ".join(["%s"] * len(batch))
        query = f"SELECT key_id, hour, {_FIGURES} FROM {table_name(Rollup)} r WHERE id IN ({marks})"
        _collect(found, period, read_rows(query, batch))
    return found


# --- several names: the rows of the combinations that match ---


def _of_combinations(period: Period, by: str | None, filters: Filters, most_groups: int) -> Summary:
    where, parameters = rows_in(period, 0)
    name = f"k.{by}" if by else "NULL"
    tests = "".join(f" AND k.{name} = %s" for name in filters)
    query = (
        f"SELECT {name}, hour, {_FIGURES} FROM {table_name(Rollup)} r"
        f" JOIN {table_name(RollupKey)} k ON k.id = r.key_id"
        f" WHERE ({where}){tests}"
    )
    found: dict[Name, Series] = {}
    _collect(found, period, read_rows(query, [*parameters, *filters.values()]))
    total = _merge(found.values())
    if by is None:
        return Summary(total, {}, {})
    names_by_cost = sorted(found, key=lambda name: _rank(found[name]), reverse=True)
    groups = {name: found[name] for name in names_by_cost[:most_groups]}
    return Summary(total, groups, _merge(found[name] for name in names_by_cost[most_groups:]))


def _rank(series: Series) -> tuple[int, int]:
    counts = total_of(series).counts
    return counts[COST] or 0, counts[CALLS]


def _merge(several: Iterable[Series]) -> Series:
    merged: Series = {}
    for series in several:
        for start, total in series.items():
            merged.setdefault(start, Total()).add(total)
    return merged


# --- rows ---

_FIGURES = ", ".join(f"r.{name}" for name in FIGURES)


def _collect(found: dict[Any, Series], period: Period, rows: Iterable[tuple[Any, ...]]) -> None:
    """Adds rows of a name or key, an hour, and figures to the series in `found`."""
    starts: dict[int, int] = {}
    for row in rows:
        name, hour, counts = row[0], row[1], row[2:-2]
        latency, ttft = to_integer(row[-2]), to_integer(row[-1])
        if hour not in starts:
            starts[hour] = period.start_of(hour)
        series = found.setdefault(name, {})
        total = series.get(starts[hour])
        if total is None:
            series[starts[hour]] = Total(counts, latency, ttft)
        else:
            total.counts = add_counts(total.counts, counts)
            total.latency += latency
            total.ttft += ttft


def rows_in(period: Period, kind: int) -> tuple[str, list[int]]:
    """Returns the condition on rollups `r` of a period and kind, and its parameters."""
    spans = period.spans()
    parameters = []
    for span, begin, end in spans:
        parameters += [row_id((span, kind, begin), 0), row_id((span, kind, end), 0) - 1]
    return " OR ".join(["r.id BETWEEN %s AND %s"] * len(spans)), parameters


def read_rows(query: str, parameters: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows
