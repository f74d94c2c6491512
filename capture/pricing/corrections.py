"""Prices that genai-prices has wrong, and models that it lacks: corrections.toml, each with the
page that the price is from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

from capture.pricing.cost import UnitPrice
from capture.pricing.globs import any_matches
from capture.pricing.overrides import OperatorPrice, read_price

FILE = Path(__file__).with_name("corrections.toml")


@dataclass(frozen=True, slots=True)
class Correction:
    provider: str
    models: tuple[str, ...]  # globs
    since: date | None
    price: OperatorPrice
    source: str
    read: date


def correction_of(provider: str, names: tuple[str, ...], day: date) -> Correction | None:
    """Returns the correction for a model of that provider, on that day. `names` are those under
    which the model is known."""
    for found in corrections().get(provider, ()):
        if (found.since is None or day >= found.since) and any_matches(found.models, names):
            return found
    return None


def corrected(prices: list[UnitPrice], correction: Correction) -> list[UnitPrice]:
    """Returns the prices with those of tokens replaced; searches and the like keep theirs."""
    rest = [price for price in prices if ("family", "tokens") not in price.dimensions]
    return [*correction.price, *rest]


@cache
def corrections() -> dict[str, list[Correction]]:
    """Returns the corrections by provider, in the order of the file."""
    raw = tomllib.loads(FILE.read_text("utf-8"), parse_float=Decimal)["correction"]
    found: dict[str, list[Correction]] = {}
    for entry in raw:
        correction = Correction(
            provider=entry["provider"],
            models=tuple(entry["models"]),
            since=entry.get("since"),
            price=read_price(entry["price"], f"corrections.toml, {entry['models']}"),
            source=entry["source"],
            read=entry["read"],
        )
        found.setdefault(correction.provider, []).append(correction)
    return found
