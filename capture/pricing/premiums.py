"""What a call costs more in some regions than the published price: premiums.toml, each entry with
the page that it is from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from capture.pricing.cost import UnitPrice
from capture.pricing.globs import any_matches

FILE = Path(__file__).with_name("premiums.toml")

_DATE = re.compile(r"[-@](20\d\d)-?(\d\d)-?(\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Premium:
    place: str  # a glob
    models: tuple[str, ...]  # globs; empty: all models
    released: date | None  # with `models`: also models whose names have a date from then on
    times: Decimal | None  # None: not known
    since: date | None
    source: str
    read: date

    def holds_for(self, place: str, names: tuple[str, ...], day: date) -> bool:
        if not fnmatchcase(place, self.place) or (self.since is not None and day < self.since):
            return False
        if not self.models or any_matches(self.models, names):
            return True
        return self.released is not None and any(map(self._is_dated_from_then_on, names))

    def _is_dated_from_then_on(self, name: str) -> bool:
        dated = _DATE.search(name)
        return dated is not None and "-".join(dated.groups()) >= str(self.released)


def premium_of(
    place: str, names: tuple[str, ...], day: date, own: Mapping[str, Decimal]
) -> Decimal | None:
    """Returns how many times its published price a model costs in that place; None if that is not
    known. `names` are those under which the model is known, `own` the operator's premiums by globs
    of places: of several that match, the first applies."""
    for glob, times in own.items():
        if fnmatchcase(place, glob):
            return times
    for premium in premiums():
        if premium.holds_for(place, names, day):
            return premium.times
    return Decimal(1)


def with_premium(price: UnitPrice, times: Decimal) -> UnitPrice:
    """Returns the price of tokens times so much; all other prices are the same everywhere."""
    if ("family", "tokens") not in price.dimensions:
        return price
    tiers = tuple((above, usd * times) for above, usd in price.tiers)
    return replace(price, usd=price.usd * times, tiers=tiers)


@cache
def premiums() -> tuple[Premium, ...]:
    """Returns the entries in the order of the file."""
    raw = tomllib.loads(FILE.read_text("utf-8"))["premium"]
    return tuple(
        Premium(
            place=entry["place"],
            models=tuple(entry.get("models", ())),
            released=entry.get("released"),
            times=None if entry["times"] == "unknown" else Decimal(entry["times"]),
            since=entry.get("since"),
            source=entry["source"],
            read=entry["read"],
        )
        for entry in raw
    )
