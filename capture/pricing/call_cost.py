"""What a recorded call cost, by what is understood of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from capture.exchange import Outcome
from capture.parsing.parse import UnderstoodCall
from capture.pricing.cost import Cost
from capture.pricing.prices import Billing, Prices
from capture.wire.formats import ollama
from capture.wire.registry import FREE
from capture.wire.types import Usage


def cost_of(
    prices: Prices,
    usage: Usage | None,
    *,
    wire_format: str,
    outcome: str,
    provider: str,
    at: datetime,
    parsed_request: str | None,
    parsed_response: str | None,
    service_tier: str | None,
    speed: str | None,
) -> Cost:
    if outcome == Outcome.REFUSED:  # it never reached who would ask money for it
        return Cost.free()
    billing = billing_of(wire_format)
    if billing is not Billing.METERED and outcome != Outcome.COMPLETED:
        return Cost.unknown("it failed")
    return prices.cost(
        usage,
        parsed_request=parsed_request,
        parsed_response=parsed_response,
        provider=provider,
        at=at,
        service_tier=service_tier,
        speed=speed,
        billing=billing,
    )


def billing_of(wire_format: str) -> Billing:
    if wire_format in FREE:
        return Billing.NEVER
    return Billing.OWN_MACHINE if wire_format == ollama.NAME else Billing.METERED


def cost_of_call(prices: Prices, call: UnderstoodCall) -> Cost:
    return cost_of(
        prices,
        call.usage,
        wire_format=call.wire_format.NAME,
        outcome=call.outcome,
        provider=call.provider,
        at=call.timestamp,
        parsed_request=call.parsed_request.model_id,
        parsed_response=call.parsed_response.response_model,
        service_tier=call.parsed_response.service_tier,
        speed=call.parsed_response.speed,
    )


def charged_usd(
    cost_usd: Decimal | None, reserved_usd: Decimal | None, *, status: int | None, outcome: str
) -> Decimal | None:
    """What budgets are charged for a call: its cost or, of one whose cost is not known, what was
    expected of it, if the upstream may have worked. To hang up early is no way round a budget.

    `status` is None where no answer had begun. None: nobody asks money for it.
    """
    if cost_usd is not None or outcome == Outcome.REFUSED:
        return cost_usd
    return reserved_usd if status is None or status < 400 else None
