"""Exact sums over a whole period in groups by any names, from the rollups, without durations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any

from capture.ledger.bulk_sql import table_name
from capture.ledger.rollup_sums import KINDS, to_usd
from capture.models import Rollup, RollupKey
from reports.queries.rollups import Period, read_rows, rows_in

# SQLite fails where a sum overflows, so what providers report is summed in two halves of 32 bits.
NUMBERS = ("call_count", "error_count", "refused_count", "cost_unknown_calls")
HALVED = ("tokens_in", "tokens_out", "cost")
HALF = 2**32


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over calls; None where no call has a known value."""

    call_count: int
    error_count: int
    refused_count: int
    cost_unknown_calls: int
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: Decimal | None

    def minus(self, others: Iterable[Figures]) -> Figures:
        """Returns the difference, in which what is unknown of others counts as 0."""
        pairs = zip(astuple(self), astuple(sum_of(others)), strict=True)
        left: list[Any] = [None if all_ is None else all_ - (part or 0) for all_, part in pairs]
        return Figures(*left)


def sum_of(several: Iterable[Figures]) -> Figures:
    columns = zip(*(astuple(NO_CALLS), *map(astuple, several)), strict=True)
    known = ([value for value in column if value is not None] for column in columns)
    sums: list[Any] = [sum(values) if values else None for values in known]
    return Figures(*sums)


NO_CALLS = Figures(0, 0, 0, 0, None, None, None)


@dataclass(frozen=True, slots=True)
class Group:
    """The calls with these names; `is_other`: those beyond the names that an hour distinguishes."""

    names: dict[str, str | None]
    is_other: bool
    figures: Figures


def read_groups(
    period: Period, by: Sequence[str], filters: Mapping[str, str], limit: int | None
) -> Iterator[Group]:
    """Yields the groups by the names `by`, most expensive first, then those with the most calls.
    `user_id` cannot be combined with another name."""
    names = {*by, *filters}
    kind = KINDS.index((*names,)) if len(names) < 2 else 0
    where, parameters = rows_in(period, kind)
    tests = "".join(f" AND k.{name} = %s" for name in filters)
    columns = ", ".join([*(f"k.{name}" for name in by), "k.is_other"])
    query = (
        f"WITH s AS (SELECT key_id, {_OF_KEYS} FROM {table_name(Rollup)} r"
        f" WHERE {where} GROUP BY key_id)"
        f" SELECT {columns}, {_OF_GROUPS} FROM s JOIN {table_name(RollupKey)} k ON k.id = s.key_id"
        f" WHERE 1 = 1{tests} GROUP BY {columns}"
        f" ORDER BY COALESCE(SUM(s.cost_high) * {HALF}.0 + SUM(s.cost_low), 0) DESC,"
        f" SUM(s.call_count) DESC, {columns}"
    )
    values = [*parameters, *filters.values()]
    if limit is not None:
        query, values = f"{query} LIMIT %s", [*values, limit]
    for row in read_rows(query, values):
        *found, is_other = row[: len(by) + 1]
        yield Group(dict(zip(by, found, strict=True)), bool(is_other), _figures(row[len(by) + 1 :]))


_OF_KEYS = ", ".join(
    [
        *(f"SUM({name}) AS {name}" for name in NUMBERS),
        *(
            f"SUM({name} >> 32) AS {name}_high, SUM({name} & {HALF - 1}) AS {name}_low"
            for name in HALVED
        ),
    ]
)
_OF_GROUPS = ", ".join(
    [
        *(f"SUM(s.{name})" for name in NUMBERS),
        *(f"SUM(s.{name}_high), SUM(s.{name}_low)" for name in HALVED),
    ]
)


def _figures(row: Sequence[Any]) -> Figures:
    n_numbers = len(NUMBERS)
    numbers: list[Any] = [int(number) for number in row[:n_numbers]]
    tokens_in, tokens_out, cost = (
        None if high is None else int(high) * HALF + int(low)
        for high, low in zip(row[n_numbers::2], row[n_numbers + 1 :: 2], strict=True)
    )
    return Figures(*[*numbers, tokens_in, tokens_out, to_usd(cost)])
