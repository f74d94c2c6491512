"""The sums of a rollup, and what a call adds to them. There is no database here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any

from capture.exchange import Outcome
from capture.ledger.bulk_sql import Row
from capture.ledger.histogram import add_durations, bucket_of, remove_durations
from capture.wire.json.lenient import clean
from capture.wire.registry import FREE_FORMATS

HOUR, DAY = 0, 1
# The id of a rollup is made of its span, kind, hour and key. SQLite sorts tables by id, so the rows
# of a kind and time are stored side by side; neither database needs another index.
KIND_BITS, HOUR_BITS, KEY_BITS = 3, 20, 32
MAX_KEY = 2**KEY_BITS - 1
# No real sum is larger.
MAX_SUM = 2**62

Names = tuple[str | None, ...]
"""The values that distinguish rows of a kind."""
CALL_NAMES = ("model_id", "provider", "agent_name", "app_id", "environment")
# All names of calls together serve any query, the kinds after them serve the usual ones faster.
KINDS = (CALL_NAMES, ("user_id",), (), *((name,) for name in CALL_NAMES))
ALL_NAMES = (*CALL_NAMES, "user_id")

TOKENS = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning")
# The columns of sums. Money is in units of 1e-10 USD.
COUNTS = (
    *("call_count", "error_count", "refused_count", "cost_unknown_calls"),
    *(*TOKENS, "cost", "cache_savings"),
)
CALLS, ERRORS, REFUSED, COST_UNKNOWN = range(4)
COST, SAVINGS = (COUNTS.index(name) for name in ("cost", "cache_savings"))
TOKEN_COUNTS = [(name, COUNTS.index(name)) for name in TOKENS]
HISTOGRAMS = ("latency", "ttft")
FIGURES = (*COUNTS, *HISTOGRAMS)
# The columns of a call that are needed to correct what was counted for it.
FACTS = ("timestamp", *ALL_NAMES, *TOKENS, "cost_usd", "cache_savings_usd")
# Those that are needed to take a call out, and to record it anew.
COUNTED = (
    *("action_id", "session_id", "method", "wire_format"),
    *("outcome", "status_code", "latency_ms", "ttft_ms", *FACTS),
)

Counts = tuple[Any, ...]
"""Integers in the order of `COUNTS`; None where no call has a known value."""
NO_TOKENS = (None,) * len(TOKENS)
NO_CALLS: Counts = (0, 0, 0, 0, *NO_TOKENS, None, None)
tokens_of = itemgetter(*TOKENS)

Buckets = tuple[int, ...]
Money = tuple[Decimal | None, Decimal | None]
"""Cost and cache savings, in USD."""
ZERO = Decimal(0)
# Looking up a member of an enum takes longer than comparing with it.
_COMPLETED, _REFUSED = Outcome.COMPLETED.value, Outcome.REFUSED.value
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sums:
    """Sums over some calls. Durations of refused calls are not counted."""

    __slots__ = ("corrects", "counts", "gone_latency", "gone_ttft", "latency", "ttft")

    def __init__(
        self, counts: Counts = NO_CALLS, latency: Buckets = (), ttft: Buckets = ()
    ) -> None:
        self.counts = counts
        self.latency = latency
        self.ttft = ttft
        self.gone_latency: Buckets = ()
        self.gone_ttft: Buckets = ()
        self.corrects = False

    def __add__(self, other: Sums) -> Sums:
        counts = add_counts(self.counts, other.counts)
        sums = Sums(counts, self.latency + other.latency, self.ttft + other.ttft)
        sums.gone_latency = self.gone_latency + other.gone_latency
        sums.gone_ttft = self.gone_ttft + other.gone_ttft
        sums.corrects = self.corrects or other.corrects
        return sums

    def count(self, row: Row, n_calls: int) -> None:
        """Adds a call, given as its row in the ledger."""
        refused = errors = unknown = 0
        cost = savings = None
        outcome = row["outcome"]
        if outcome == _REFUSED:
            refused = n_calls
        else:
            if outcome != _COMPLETED:
                errors = n_calls
            if row["latency_ms"] is not None:
                self.latency += (bucket_of(row["latency_ms"]),)
            if row["ttft_ms"] is not None:
                self.ttft += (bucket_of(row["ttft_ms"]),)
        if row["cost_usd"] is None:
            unknown = n_calls
        else:
            cost = to_units(row["cost_usd"])
        if row["cache_savings_usd"] is not None:
            savings = to_units(row["cache_savings_usd"])
        # The tokens of a counting call are used by the call that follows.
        tokens = NO_TOKENS if row["wire_format"] in FREE_FORMATS else tokens_of(row)
        more = (n_calls, errors, refused, unknown, *tokens, cost, savings)
        self.counts = more if self.counts is NO_CALLS else add_counts(self.counts, more)

    def take_out(self, row: Row, n_calls: int) -> None:
        """Takes out a call that was counted before."""
        gone = Sums()
        gone.count(row, n_calls)
        self.counts = add_counts(self.counts, tuple(n and -n for n in gone.counts))
        self.gone_latency += gone.latency
        self.gone_ttft += gone.ttft

    def correct(self, old: Money, new: Money) -> None:
        """Replaces the cost and the savings of a call."""
        counts = list(self.counts)
        counts[COST_UNKNOWN] = (counts[COST_UNKNOWN] or 0) + (new[0] is None) - (old[0] is None)
        for place, was, is_now in zip((COST, SAVINGS), old, new, strict=True):
            if (was, is_now) != (None, None):
                change = to_units(is_now or ZERO) - to_units(was or ZERO)
                counts[place] = (counts[place] or 0) + change
        self.counts = tuple(counts)
        self.corrects = True


def add_counts(counts: Counts, more: Counts) -> Counts:
    """Adds two sets of counts. It is written out since a loop takes four times as long, and this
    runs ten times a call."""
    calls, errors, refused, unknown, in_, out, read, written, reason, cost, saved = counts
    calls_, errors_, refused_, unknown_, in__, out_, read_, written_, reason_, cost_, saved_ = more
    return (
        calls + calls_,
        errors + errors_,
        refused + refused_,
        unknown + unknown_,
        in_ if in__ is None else in__ if in_ is None else in_ + in__,
        out if out_ is None else out_ if out is None else out + out_,
        read if read_ is None else read_ if read is None else read + read_,
        written if written_ is None else written_ if written is None else written + written_,
        reason if reason_ is None else reason_ if reason is None else reason + reason_,
        cost if cost_ is None else cost_ if cost is None else cost + cost_,
        saved if saved_ is None else saved_ if saved is None else saved + saved_,
    )


RollupSlot = tuple[int, int, int]
"""Span, kind (an index into `KINDS`) and hour; for a day, its first hour."""


class Traffic:
    """Sums over the calls of a batch, by hour and names."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, Names], Sums] = defaultdict(Sums)

    def sums_for(self, row: Row) -> Sums:
        """Returns the sums that a call belongs to."""
        model = row["model_id"]
        names = (
            model if model is None else clean(model),
            row["provider"],
            row["agent_name"],
            row["app_id"],
            row["environment"],
            row["user_id"],
        )
        return self._sums[hour_of(row["timestamp"]), names]

    def by_slot(self) -> dict[RollupSlot, dict[Names, Sums]]:
        found: dict[RollupSlot, dict[Names, Sums]] = {}
        for (hour, names), sums in self._sums.items():
            calls = names[:-1]
            for kind, kind_names in enumerate((calls, names[-1:], (), *zip(calls, strict=True))):
                _add_sums(found, (HOUR, kind, hour), kind_names, sums)
        for (_, kind, hour), by_names in list(found.items()):
            day = (DAY, kind, hour - hour % 24)
            if day not in found:
                found[day] = dict(by_names)
                continue
            for names, sums in by_names.items():
                _add_sums(found, day, names, sums)
        return found


def _add_sums(
    found: dict[RollupSlot, dict[Names, Sums]], slot: RollupSlot, names: Names, sums: Sums
) -> None:
    by_names = found.setdefault(slot, {})
    before = by_names.get(names)
    by_names[names] = sums if before is None else before + sums


def row_id(slot: RollupSlot, key: int) -> int:
    span, kind, hour = slot
    return ((span << KIND_BITS | kind) << HOUR_BITS | hour) << KEY_BITS | key


Columns = Sequence[Any]
"""The figures of a row in the order of `FIGURES`: numbers, None, and the bytes of histograms."""


def add_to_columns(had: Columns | None, more: Sums) -> Columns:
    """Returns the columns of a row that was `had` (None: there was none) with `more` added."""
    if had is None:
        counts, latency, ttft = more.counts, b"", b""
    else:
        counts, latency, ttft = add_counts(tuple(had[:-2]), more.counts), had[-2], had[-1]
    if more.corrects:
        counts = _forget_taken_back(counts, more)
    if max(map(abs, filter(None, counts)), default=0) > MAX_SUM:
        counts = tuple(n and max(-MAX_SUM, min(n, MAX_SUM)) for n in counts)
    return (
        *counts,
        remove_durations(add_durations(latency, more.latency), more.gone_latency),
        remove_durations(add_durations(ttft, more.ttft), more.gone_ttft),
    )


def _forget_taken_back(now: Counts, more: Sums) -> Counts:
    """Resets the sums to which only the calls taken back had contributed."""
    counts = list(now)
    for _, place in TOKEN_COUNTS:
        if counts[place] == 0 and (more.counts[place] or 0) < 0:
            counts[place] = None
    if counts[COST_UNKNOWN] == counts[CALLS]:
        counts[COST] = counts[SAVINGS] = None
    return tuple(counts)


def hour_of(moment: datetime) -> int:
    """Returns the hours since 1970, in UTC."""
    return int(moment.timestamp() // 3600)


def hour_start(hour: int) -> datetime:
    return _EPOCH + timedelta(hours=hour)


def to_units(usd: Decimal) -> int:
    return int(usd.scaleb(10))


def to_usd(units: int | None) -> Decimal | None:
    return None if units is None else Decimal(units).scaleb(-10)
