"""Reads what the token counts of all providers have in common.

The module of each provider gives them one meaning. A number that was not sent stays None.
"""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from decimal import Decimal

from capture.wire.json.fields import count, number
from capture.wire.types import JSON, Usage

COUNTS = tuple(field.name for field in dataclass_fields(Usage) if field.name.startswith("tokens_"))
"""The names of the fields of Usage that are token counts."""


_CACHED_UNITS = (
    ("audio_tokens", "cache_audio_read_tokens"),
    ("image_tokens", "cache_image_read_tokens"),
)


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
    """Returns the first count under these names that is not 0: gateways fill the names of other
    APIs with it. 0 if there is no other; None without any."""
    found = None
    for name in names:
        if name in raw and (n := count(raw[name])) is not None:
            if n:
                return n
            found = n
    return found


def merge_counts(known: dict[str, JSON], newer: dict[str, JSON]) -> None:
    """Takes the counts of a later event of a stream over into `known`: totals so far, not
    additions. What is null or left out has not changed, and a 0 does not undo what was counted."""
    for name, n in newer.items():
        if n and type(n) is not dict:
            known[name] = n
        elif n is not None:
            before = known.get(name)
            if isinstance(n, dict) and isinstance(before, dict):  # details, without their own
                newly = {key: m for key, m in n.items() if m or key not in before}
                known[name] = {**before, **newly}
            elif n or not before:
                known[name] = n


def add_unit(usage: Usage, unit: str, value: JSON) -> None:
    """Sets the number of a unit that is billed; 0 and what is no number leave it out."""
    n = number(value)
    if n is not None and n > 0:
        usage.units[unit] = int(n) if n.is_integer() else n


def add_cached_units(usage: Usage, cached: dict[str, JSON]) -> None:
    """Sets how many of the cached tokens are audio or images. 0 is set too: both may share a
    price."""
    for name, unit in _CACHED_UNITS:
        if (n := count(cached.get(name))) is not None:
            usage.units[unit] = n
