"""The cost of a recorded call, and the amount that budgets are charged for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from capture.exchange import Outcome
from capture.parsing.parsed_call import ParsedCall
from capture.pricing.cost import Cost
from capture.pricing.places import place_of
from capture.pricing.prices import Prices
from capture.pricing.terms import Billing, BillingTerms
from capture.wire.formats import ollama
from capture.wire.registry import FREE_FORMATS
from capture.wire.types import ParsedResponse, Usage


def cost_of(
    prices: Prices, usage: Usage | None, terms: BillingTerms, *, at: datetime, outcome: str
) -> Cost:
    if outcome == Outcome.REFUSED:  # it never reached a provider that would charge for it
        return Cost.free()
    if terms.billing is not Billing.METERED and outcome != Outcome.COMPLETED:
        return Cost.unknown("it failed")
    return prices.cost(usage, terms, at=at)


def billing_of(wire_format: str) -> Billing:
    if wire_format in FREE_FORMATS:
        return Billing.NEVER
    return Billing.OWN_MACHINE if wire_format == ollama.NAME else Billing.METERED


def terms_of(
    wire_format: str,
    response: ParsedResponse,
    *,
    requested_model: str | None,
    response_model: str | None,
    provider: str,
    upstream: str | None,
    path: str,
) -> BillingTerms:
    """Returns the terms of a call. The ledger has all that they are made of: a call that is priced
    again has the same."""
    return BillingTerms(
        requested_model=requested_model,
        response_model=response_model,
        provider=provider,
        service_tier=response.service_tier,
        speed=response.speed,
        billing=Billing.NEVER if response.is_from_cache else billing_of(wire_format),
        place=place_of(
            upstream=upstream,
            path=path,
            model=requested_model,
            inference_geo=response.usage.raw.get("inference_geo") if response.usage else None,
        ),
    )


def cost_of_call(prices: Prices, call: ParsedCall) -> Cost:
    request, response = call.request, call.parsed_response
    terms = terms_of(
        call.wire_format.NAME,
        response,
        requested_model=call.parsed_request.model_id,
        response_model=response.response_model,
        provider=call.provider,
        upstream=request.upstream if request else None,
        path=request.path if request else "",
    )
    return cost_of(prices, call.usage, terms, at=call.timestamp, outcome=call.outcome)


def charge_usd(
    cost_usd: Decimal | None,
    reserved_usd: Decimal | None,
    *,
    status: int | None,
    outcome: str,
    brought_nothing: bool = False,
) -> Decimal | None:
    """Returns what budgets are charged for a call: its cost or, where that is not known and the
    upstream may have worked on it, what it reserved. So hanging up early is no way round a budget.

    `status` is None where no response had begun. `brought_nothing`: see `has_brought_nothing`.
    None: the call is charged nothing.
    """
    if cost_usd is not None or outcome == Outcome.REFUSED:
        return cost_usd
    has_failed = brought_nothing or (status is not None and status >= 400)
    return None if has_failed else reserved_usd


def has_brought_nothing(response: ParsedResponse, outcome: str) -> bool:
    """Returns True for a response that is an error and nothing else, neither a part of an answer
    nor a count of one: its status is no reason to charge for it."""
    if outcome != Outcome.UPSTREAM_ERROR or not response.has_failed or response.is_raw:
        return False
    is_counted = response.usage is not None and response.usage.is_known
    return not (response.has_output or is_counted)
