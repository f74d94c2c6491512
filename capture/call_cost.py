"""What a recorded call cost, by the operator's configuration and what is understood of the call."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from agentledger_site.conf import PREFIX, Config
from capture.costs import Cost
from capture.exchange import Outcome
from capture.operator_prices import OperatorPrice, read_operator_prices
from capture.pricing import Billing, Prices
from capture.understand import UnderstoodCall
from capture.wire import FREE, ollama
from capture.wire.types import Usage


def operator_prices(config: Config) -> dict[str, OperatorPrice]:
    """Raises ValueError: one sentence that says what is wrong, and where."""
    prices: dict[str, OperatorPrice] = {}
    if config.pricing is not None:
        prices |= read_operator_prices(config.pricing, f"{PREFIX}PRICING")
    if config.pricing_file is not None:
        path = Path.cwd() / config.pricing_file
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{PREFIX}PRICING_FILE: {path} cannot be read: {error}") from None
        prices |= read_operator_prices(text, str(path))
    return prices


def cost_of(
    prices: Prices,
    usage: Usage | None,
    *,
    wire_format: str,
    outcome: str,
    provider: str,
    at: datetime,
    asked: str | None,
    answered: str | None,
    service_tier: str | None,
    speed: str | None,
) -> Cost:
    billing = _billing(wire_format)
    if billing is not Billing.METERED and outcome != Outcome.COMPLETED:
        return Cost.unknown("it failed")
    return prices.cost(
        usage,
        asked=asked,
        answered=answered,
        provider=provider,
        at=at,
        service_tier=service_tier,
        speed=speed,
        billing=billing,
    )


def _billing(wire_format: str) -> Billing:
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
        asked=call.asked.model_id,
        answered=call.answered.response_model,
        service_tier=call.answered.service_tier,
        speed=call.answered.speed,
    )
