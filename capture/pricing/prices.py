"""The choice of prices for a call: the operator's come first, then the cost that the provider
reports, then the published prices. docs/pricing.md describes this to operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

from capture.pricing.cost import UNKNOWN, Cost, ModelPrices, UnitPrice, is_plausible_cost, sum_costs
from capture.pricing.overrides import OperatorPrice, OperatorPrices
from capture.pricing.premiums import premium_of
from capture.pricing.published import ModelMatch, PublishedPrices
from capture.pricing.terms import Billing, BillingTerms
from capture.wire.types import Usage

OPERATOR = "operator"
PROVIDER = "provider"

_FREE = Cost.free()
_NO_USAGE = Cost.unknown("nothing was counted")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The prices of a model, and the reason why these apply."""

    source: str
    prices: tuple[UnitPrice, ...]
    why: str
    provider: str | None = None  # the provider in whose price list it was found
    model: str | None = None  # the model's name in that list
    comment: str | None = None  # genai-prices' comment on this price


@dataclass(frozen=True, slots=True)
class _PublishedLookup:
    prices: ModelPrices | None
    why: str
    match: ModelMatch | None = None
    needs_minute: bool = False
    is_noted: bool = False


class Prices:
    """Built once per set of prices. Pricing a call takes a few microseconds once the prices of its
    model are cached."""

    def __init__(
        self,
        operator: dict[str, OperatorPrice] | None = None,
        published: PublishedPrices | None = None,
        premiums: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        """`premiums` are the operator's, by globs of places."""
        self._premiums = premiums
        self._operator = OperatorPrices(operator or {})
        self._published = published or PublishedPrices()
        self._published_prices = lru_cache(4096)(self._look_up_published)
        self._operator_prices = lru_cache(4096)(self._look_up_operator)

    def cost(self, usage: Usage | None, terms: BillingTerms, *, at: datetime) -> Cost:
        """`at` is the time of the call; a naive one is taken as UTC."""
        if terms.billing is Billing.NEVER:
            return _FREE
        if usage is not None and usage.billed and usage.reported_cost_usd is None:
            return sum_costs(
                self.cost(share.usage, _terms_of_share(terms, share.model), at=at)
                for share in usage.billed
            )
        day, minute = _day_and_minute(at)
        operator_prices = self._operator_prices(terms, day) if self._operator else None
        if usage is None:
            is_free = terms.billing is Billing.OWN_MACHINE and operator_prices is None
            return _FREE if is_free else _NO_USAGE
        cost = operator_prices.cost(usage) if operator_prices is not None else None
        if cost is not None and cost.total_usd is not None:
            return cost
        reported = usage.reported_cost_usd
        if reported is not None and is_plausible_cost(reported):
            return Cost.without_parts(reported, PROVIDER)
        if cost is not None:  # the operator's price applies, but the usage cannot be priced by it
            return cost
        if terms.billing is Billing.OWN_MACHINE:
            return _FREE
        found = self._published_prices(terms, day, None)
        if found.needs_minute:
            found = self._published_prices(terms, day, minute)
        if found.prices is None:
            return Cost.unknown(found.why, is_noted=found.is_noted)
        return found.prices.cost(usage)

    def explain(self, terms: BillingTerms, *, at: datetime | None = None) -> Explanation:
        """Returns the prices under these terms at that time (None: now), whatever the usage."""
        day, minute = _day_and_minute(at or datetime.now(UTC))
        override = self._operator.find(terms.requested_model, terms.response_model)
        if override is not None:
            prices = self._look_up_operator(terms, day)
            assert prices is not None
            why = f"the operator's price of {override.pattern!r}"
            return Explanation(OPERATOR, prices.prices, why, model=override.pattern)
        found = self._published_prices(terms, day, minute)
        match = found.match
        return Explanation(
            found.prices.source if found.prices else UNKNOWN,
            found.prices.prices if found.prices else (),
            found.why,
            match.provider if match else None,
            match.model.id if match else None,
            match.model.price_comments if match else None,
        )

    def _look_up_operator(self, terms: BillingTerms, day: int) -> ModelPrices | None:
        """Returns the operator's prices of the model; tool calls that they leave out cost what is
        published for it. None: the operator has no price for the model."""
        override = self._operator.find(terms.requested_model, terms.response_model)
        if override is None:
            return None
        prices = {price.unit: price for price in override.price}
        # The operator's prices hold in every service tier, and wherever a call ran.
        standard = terms._replace(service_tier=None, speed=None, processing=None, place=None)
        published = self._published_prices(standard, day, 0).prices
        own = override.price
        for price in published.prices if published else ():
            is_tool = ("family", "tool_calls") in price.dimensions
            if price.unit == "grounding_tokens" or (
                is_tool and not any(map(price.is_part_of, own))
            ):
                prices.setdefault(price.unit, replace(price, tiers=()))
        return ModelPrices(OPERATOR, prices.values(), is_strict=False)

    def _look_up_published(
        self, terms: BillingTerms, day: int, minute: int | None
    ) -> _PublishedLookup:
        """`minute` is the minute of the day. Without it the lookup holds for the whole day, or says
        that this model's price depends on the time of day."""
        match = self._published.find(terms)
        if match is None:
            return self._look_up_unlisted(terms, day)
        if minute is None and match.depends_on_time_of_day:
            return _PublishedLookup(None, "", match, needs_minute=True)
        at = datetime.fromordinal(day).replace(tzinfo=UTC) + timedelta(minutes=minute or 0)
        names, times = (match.model.id, match.name), Decimal(1)
        if terms.place is not None:
            premium = premium_of(terms.place, names, at.date(), self._premiums)
            if premium is None:
                why = f"what {match.model.id} costs depends on where it ran: {terms.place}"
                return _PublishedLookup(None, why, match, is_noted=True)
            times = premium
        prices = self._published.prices_of(match, terms, at=at, times=times)
        if isinstance(prices, str):
            return _PublishedLookup(None, prices, match)
        why = f"{match.provider}'s published price of {match.model.id}, found as {match.name!r}"
        if times != 1:
            why += f", times {times} for {terms.place}"
        return _PublishedLookup(prices, why, match)

    def _look_up_unlisted(self, terms: BillingTerms, day: int) -> _PublishedLookup:
        if not terms.model:
            return _PublishedLookup(None, "it names no model")
        prices = self._published.unlisted_prices(terms, date.fromordinal(day))
        if prices is None:
            return _PublishedLookup(None, f"no price is known for {terms.model}")
        return _PublishedLookup(prices, f"our own price of {terms.model}, which the data lacks")


def _terms_of_share(terms: BillingTerms, model: str | None) -> BillingTerms:
    if not model:
        return terms
    return terms._replace(requested_model=model, response_model=model)


def _day_and_minute(at: datetime) -> tuple[int, int]:
    if at.tzinfo is not UTC:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.toordinal(), at.hour * 60 + at.minute
