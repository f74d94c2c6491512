"""What a call cost: the operator's prices first, then what the provider says, then the makers'
published prices. docs/pricing.md tells it to operators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache

from capture.pricing.cost import (
    UNKNOWN,
    Cost,
    ModelPrices,
    Parts,
    UnitPrice,
    added,
    is_cost,
    of_one_part,
)
from capture.pricing.overrides import OperatorPrice, OperatorPrices, read_operator_prices
from capture.pricing.published import Match, PublishedPrices
from capture.wire.types import Usage

__all__ = ["Billing", "Cost", "Explanation", "Parts", "Prices", "UnitPrice", "read_operator_prices"]

OPERATOR = "operator"
PROVIDER = "provider"

_FREE = Cost.free()
_NO_USAGE = Cost.unknown("nothing was counted")


class Billing(Enum):
    """Who asks money for a call."""

    METERED = "metered"
    NEVER = "never"  # whatever is counted: count_tokens, moderations
    OWN_MACHINE = "own machine"  # Ollama's API: free, unless the operator has a price for it


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a model costs, and why."""

    source: str
    prices: tuple[UnitPrice, ...]
    why: str
    provider: str | None = None  # whose price list it is
    model: str | None = None  # what the model is called there
    comment: str | None = None  # of genai-prices, on this price


@dataclass(frozen=True, slots=True)
class _Found:
    prices: ModelPrices | None
    why: str
    match: Match | None = None
    by_the_minute: bool = False


class Prices:
    """Built once. What a call costs takes some µs, once the prices of its model are looked up."""

    def __init__(
        self,
        operator: dict[str, OperatorPrice] | None = None,
        published: PublishedPrices | None = None,
    ) -> None:
        self._operator = OperatorPrices(operator or {})
        self._lists = published or PublishedPrices()
        self._published = lru_cache(4096)(self._look_up_published)
        self._by_operator = lru_cache(4096)(self._look_up_operator)

    def cost(
        self,
        usage: Usage | None,
        *,
        parsed_request: str | None,
        parsed_response: str | None = None,
        provider: str | None = None,
        at: datetime,
        service_tier: str | None = None,
        speed: str | None = None,
        processing: str | None = None,
        billing: Billing = Billing.METERED,
    ) -> Cost:
        """`asked` and `answered` name the model as the request and the answer did. `provider` is a
        hint: a model that it has no price for is looked up at the makers. `at` is the time of the
        call; a naive one is UTC. `service_tier` and `speed` are those of the answer."""
        if billing is Billing.NEVER:
            return _FREE
        if usage is not None and usage.billed and usage.reported_cost_usd is None:
            return added(
                self.cost(
                    share.usage,
                    parsed_request=share.model or parsed_request,
                    parsed_response=share.model or parsed_response,
                    provider=provider,
                    at=at,
                    service_tier=service_tier,
                    speed=speed,
                    processing=processing,
                    billing=billing,
                )
                for share in usage.billed
            )
        day, minute = _day_and_minute(at)
        by_operator = None
        if self._operator:
            by_operator = self._by_operator(parsed_request, parsed_response, provider, day)
        if usage is None:
            is_free = billing is Billing.OWN_MACHINE and by_operator is None
            return _FREE if is_free else _NO_USAGE
        cost = by_operator.cost(usage) if by_operator is not None else None
        if cost is not None and cost.total_usd is not None:
            return cost
        reported = usage.reported_cost_usd
        if reported is not None and is_cost(reported):
            return of_one_part(reported, PROVIDER)
        if cost is not None:  # the operator's price is the one to apply, and cannot be
            return cost
        if billing is Billing.OWN_MACHINE:
            return _FREE
        key = (parsed_request, parsed_response, provider, service_tier, speed, processing, day)
        found = self._published(*key, None)
        if found.by_the_minute:
            found = self._published(*key, minute)
        return found.prices.cost(usage) if found.prices else Cost.unknown(found.why)

    def explain(
        self,
        model: str,
        *,
        parsed_response: str | None = None,
        provider: str | None = None,
        at: datetime | None = None,
        service_tier: str | None = None,
        speed: str | None = None,
        processing: str | None = None,
    ) -> Explanation:
        """What a call of `model` costs at that time (now), before any usage is known."""
        day, minute = _day_and_minute(at or datetime.now(UTC))
        named = self._operator.find(model, parsed_response)
        if named is not None:
            prices = self._look_up_operator(model, parsed_response, provider, day)
            assert prices is not None
            why = f"the operator's price of {named.pattern!r}"
            return Explanation(OPERATOR, prices.prices, why, model=named.pattern)
        found = self._published(
            model, parsed_response, provider, service_tier, speed, processing, day, minute
        )
        match = found.match
        return Explanation(
            found.prices.source if found.prices else UNKNOWN,
            found.prices.prices if found.prices else (),
            found.why,
            match.provider if match else None,
            match.model.id if match else None,
            match.model.price_comments if match else None,
        )

    def _look_up_operator(
        self,
        parsed_request: str | None,
        parsed_response: str | None,
        provider: str | None,
        day: int,
    ) -> ModelPrices | None:
        """The operator's price; what is billed beside tokens, and they left out, as published."""
        named = self._operator.find(parsed_request, parsed_response)
        if named is None:
            return None
        prices = {price.unit: price for price in named.price}
        published = self._published(
            parsed_request, parsed_response, provider, None, None, None, day, 0
        ).prices
        for price in published.prices if published else ():
            if ("family", "tool_calls") in price.dimensions:
                prices.setdefault(price.unit, replace(price, tiers=()))
        return ModelPrices(OPERATOR, prices.values(), is_strict=False)

    def _look_up_published(
        self,
        parsed_request: str | None,
        parsed_response: str | None,
        provider: str | None,
        service_tier: str | None,
        speed: str | None,
        processing: str | None,
        day: int,
        minute: int | None,
    ) -> _Found:
        """Prices change by the day, those of some models by the time of day: `minute` is needed for
        them alone."""
        match = self._lists.find(parsed_request, parsed_response, provider)
        if match is None:
            name = parsed_response or parsed_request
            return _Found(None, f"no price is known for {name}" if name else "it names no model")
        if minute is None and match.depends_on_time_of_day:
            return _Found(None, "", match, by_the_minute=True)
        prices = self._lists.prices_of(
            match,
            at=datetime.fromordinal(day).replace(tzinfo=UTC) + timedelta(minutes=minute or 0),
            service_tier=service_tier,
            speed=speed,
            processing=processing,
        )
        if isinstance(prices, str):
            return _Found(None, prices, match)
        how = f"{match.provider}'s published price of {match.model.id}, found as {match.name!r}"
        return _Found(prices, how, match)


def _day_and_minute(at: datetime) -> tuple[int, int]:
    if at.tzinfo is not UTC:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.toordinal(), at.hour * 60 + at.minute
