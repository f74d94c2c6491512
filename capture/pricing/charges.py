"""Our own prices of what providers bill beside tokens, where genai-prices has none or a wrong one:
searches, containers, requests by the size of their context. They are in charges.toml, each with
the page that it is from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

from capture.pricing.cost import Dimensions, UnitPrice
from capture.pricing.globs import any_matches

FILE = Path(__file__).with_name("charges.toml")

# The dimensions of units that genai-prices does not have. Those of `preview_web_searches` make
# them a part of `web_searches`: a price for all searches holds for them too.
_DIMENSIONS: dict[str, dict[str, str]] = {
    "preview_web_searches": {"tool_type": "web_search", "version": "preview"},
    **{
        f"{size}_context_requests": {"family": "requests", "search_context": size}
        for size in ("low", "medium", "high")
    },
    # Part of the input: what Google's searches bring into a prompt.
    "grounding_tokens": {"family": "tokens", "direction": "input", "token_type": "grounding"},
}


@dataclass(frozen=True, slots=True)
class Charge:
    provider: str
    models: tuple[str, ...]  # globs; empty: all of the provider's
    unit: str
    usd: Decimal | None  # None: what genai-prices has is dropped
    per: int
    at_most: int | None  # billed of a call, however many there are
    corrects: bool
    since: date | None
    source: str
    read: date

    def holds_for(self, names: tuple[str, ...], day: date) -> bool:
        if self.since is not None and day < self.since:
            return False
        return not self.models or any_matches(self.models, names)


def add_charges(
    prices: list[UnitPrice], provider: str, names: tuple[str, ...], day: date
) -> list[UnitPrice]:
    """Returns the prices of a model of that provider together with what is charged beside tokens
    on that day. `names` are those under which the model is known."""
    found = {price.unit: price for price in prices}
    decided = set[str]()
    for charge in charges().get(provider, ()):
        unit = charge.unit
        if unit in decided or not charge.holds_for(names, day):
            continue
        decided.add(unit)
        if unit in found and not charge.corrects:
            continue
        if charge.usd is None:
            found.pop(unit, None)
        else:
            found[unit] = UnitPrice(
                unit, charge.usd, charge.per, dimensions_of(unit), at_most=charge.at_most
            )
    return list(found.values())


@cache
def charges() -> dict[str, list[Charge]]:
    """Returns the charges by provider, in the order of the file."""
    raw = tomllib.loads(FILE.read_text("utf-8"), parse_float=Decimal)["charge"]
    found: dict[str, list[Charge]] = {}
    for entry in raw:
        usd = entry["usd"]
        charge = Charge(
            provider=entry["provider"],
            models=tuple(entry.get("models", ())),
            unit=entry["unit"],
            usd=None if usd == "none" else Decimal(usd),
            per=entry.get("per", 1),
            at_most=entry.get("at_most"),
            corrects=entry.get("corrects", False),
            since=entry.get("since"),
            source=entry["source"],
            read=entry["read"],
        )
        found.setdefault(charge.provider, []).append(charge)
    return found


@cache
def dimensions_of(unit: str) -> Dimensions:
    from genai_prices.data_units import unit_data

    known = unit_data.get(unit)
    kinds = known["dimensions"] if known else _DIMENSIONS.get(unit, {"tool_type": unit})
    return frozenset({"family": "tool_calls", **kinds}.items())
