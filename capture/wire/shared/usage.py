"""Reads what the token counts of all providers have in common.

The module of each provider gives them one meaning. A number that was not sent stays None.
"""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from decimal import Decimal

from capture.wire.json.fields import count, fields, number
from capture.wire.types import JSON, Usage

COUNTS = tuple(field.name for field in dataclass_fields(Usage) if field.name.startswith("tokens_"))
"""The names of the fields of Usage that are token counts."""

_MOST_USD = 1_000_000
"""An amount above it is no cost, or not in dollars."""

# https://docs.x.ai: xAI counts what a call costs in these.
_TICKS_PER_USD = 10**10


def add_up(usages: list[Usage]) -> Usage | None:
    """Returns the usage of several models or images together: each count is the sum of those
    known."""
    if len(usages) < 2:
        return usages[0] if usages else None
    total = Usage(raw={key: value for usage in usages for key, value in usage.raw.items()})
    for name in COUNTS:
        known = [n for usage in usages if (n := getattr(usage, name)) is not None]
        setattr(total, name, count(sum(known)) if known else None)
    for usage in usages:
        for unit, n in usage.units.items():
            total.units[unit] = total.units.get(unit, 0) + n
    costs = [usage.reported_cost_usd for usage in usages if usage.reported_cost_usd is not None]
    total.reported_cost_usd = sum(costs, Decimal(0)) if costs else None
    return total


def read_input_tokens(response: dict[str, JSON]) -> Usage | None:
    """Reads the responses of endpoints that only count tokens: `{"input_tokens": 14}`."""
    tokens_in = count(response.get("input_tokens"))
    if tokens_in is None:
        return None
    return Usage(tokens_in=tokens_in, raw={"input_tokens": tokens_in})


def sum_counts(raw: dict[str, JSON], *names: str) -> int | None:
    """Returns the sum of the counts of these names; None when none of them is there."""
    found = [n for name in names if (n := count(raw.get(name))) is not None]
    return count(sum(found)) if found else None


def first_count(raw: dict[str, JSON], *names: str) -> int | None:
    """Returns the count of the first of these names that has one."""
    return next((n for name in names if (n := count(raw.get(name))) is not None), None)


def add_unit(usage: Usage, unit: str, value: JSON) -> None:
    """Sets the number of a unit that is billed; 0 and what is no number leave it out."""
    n = number(value)
    if n is not None and n > 0:
        usage.units[unit] = int(n) if n.is_integer() else n


def add_cached_units(usage: Usage, cached: dict[str, JSON]) -> None:
    """Sets how many of the cached tokens are audio or images. 0 is set too: both may share a
    price."""
    for kind in ("audio", "image"):
        n = count(cached.get(f"{kind}_tokens"))
        if n is not None:
            usage.units[f"cache_{kind}_read_tokens"] = n


def reported_cost(raw: dict[str, JSON]) -> Decimal | None:
    """Returns the cost in USD that OpenRouter (with what the agent's own key paid) or xAI (in
    ticks) sends.

    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    cost = _usd(raw.get("cost"))
    if cost is None:
        ticks = count(raw.get("cost_in_usd_ticks"))
        return None if ticks is None else _usd(ticks, _TICKS_PER_USD)
    if raw.get("is_byok") is True:
        upstream = _usd(fields(raw.get("cost_details")).get("upstream_inference_cost"))
        cost += upstream or 0
    return cost


def _usd(value: JSON, per_usd: int = 1) -> Decimal | None:
    n = number(value)
    if n is None or not 0 <= n <= _MOST_USD * per_usd:
        return None
    # The shortest text that means this float is the one that came.
    return Decimal(repr(value)) / per_usd
