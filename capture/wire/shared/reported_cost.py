"""The cost of a call as its provider, or a gateway in front of it, reports it: in its usage, beside
it, in the last event of a stream, or in a header. docs/pricing.md lists whose shapes these are.

An amount that is not in USD, or of which a part is missing, is no cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from capture.wire.framing import sse
from capture.wire.json.fields import count, fields, number
from capture.wire.types import JSON, ParsedResponse, Usage

_MOST_USD = 1_000_000
"""An amount above it is no cost, or not in dollars."""

_TOTALS = "cost total_cost estimated_cost cost_usd costUsd total_cost_usd response_cost".split()
# Of an object that is a cost by its name.
_TOTALS_OF_A_COST = [*"total_cost total costUsd total_usd usd cost amount".split()]
_CURRENCIES = ("currency", "cost_currency", "currency_code")
_METADATA = ("provider_metadata", "providerMetadata")
# Nearly all usages and responses have none of these.
_IN_USAGE = frozenset((*_TOTALS, "cost_in_usd_ticks"))
_BESIDE_USAGE = frozenset(
    (*_TOTALS, *_CURRENCIES, *_METADATA, "x_nanogpt_pricing", "costDollars", "copilot_usage")
)
_USD = ("USD", "US$", "$")
_AMOUNT = re.compile(r"\$?\s*(\d{1,9}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,3})?)(?:\s*USD)?")

_TICKS_PER_USD = 10**10  # https://docs.x.ai/developers/cost-tracking
# An AI credit is a cent:
# https://docs.github.com/en/copilot/concepts/billing/usage-based-billing-for-organizations-and-enterprises
_NANO_CREDITS_PER_USD = 10**11

# Bytes at the end of a stream in which a cost beside the usage is looked for.
_TAIL = 8 * 1024
_MARKS = (b"cost", b"total_nano_aiu")


def reported_cost(usage: Mapping[str, JSON]) -> Decimal | None:
    """Returns the cost in USD that a usage has: a number, a text or an object with the total, or
    xAI's ticks.

    If the agent's own key paid the provider (`is_byok` of OpenRouter and Vercel), that is added:
    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    if _IN_USAGE.isdisjoint(usage):
        return None
    cost = _total(usage, _TOTALS)
    if cost is None:
        return _usd(count(usage.get("cost_in_usd_ticks")), _TICKS_PER_USD)
    if usage.get("is_byok") is True:
        paid = _usd(fields(usage.get("cost_details")).get("upstream_inference_cost"))
        paid = _usd(usage.get("market_cost")) if paid is None else paid
        return None if paid is None else cost + paid
    return cost


def add_reported_cost(parsed_response: ParsedResponse, response: JSON) -> None:
    """Sets the cost that a whole response has beside its usage, unless its usage has one."""
    _add(parsed_response, iter([fields(response)]))


def add_cost_of_stream(parsed_response: ParsedResponse, body: bytes) -> None:
    """Sets the cost that one of the last events of a stream has beside its usage."""
    usage = parsed_response.usage
    if usage is not None and usage.reported_cost_usd is not None:
        return
    tail = body[-_TAIL:]
    if any(mark in tail for mark in _MARKS):
        # An event whose beginning is cut off is not read.
        _add(parsed_response, (event for _, event, _ in sse.read_objects(tail, [])))


def add_header_cost(
    parsed_response: ParsedResponse, headers: Mapping[str, str], *, is_stream: bool
) -> None:
    """Sets the cost that a gateway's header has, unless the body has one. `headers` are by their
    names in lower case.

    Most gateways send the headers of a stream before they know its cost: a 0 there says nothing.
    """
    if _COST_HEADERS.isdisjoint(headers):
        return
    for name in headers.keys() & _COST_HEADERS:
        cost = _usd(headers[name])
        if cost is not None and not (is_stream and cost == 0):
            _set(parsed_response, cost, name, headers[name])


COST_HEADERS = (
    "x-litellm-response-cost",
    "helicone-cost",
    "x-bifrost-cost-usd",
    "x-omniroute-response-cost",
    "x-portkey-cost",
    "x-llm-cost",  # WSO2
    "x-aimlapi-usd-spent",
    "x-nr-request-cost",
    "x-request-cost-usd",
    "x-cost-usd",
)
"""The response headers in which gateways report the cost of a call in USD."""

_COST_HEADERS = frozenset(COST_HEADERS)

CACHE_HEADERS = (
    "cf-aig-cache-status",
    "helicone-cache",
    "x-litellm-cache-hit",
    "x-nr-response-cache",
    "x-openrouter-cache-status",
    "x-portkey-cache-status",
)
"""The response headers in which gateways say whether they answered from a cache of their own."""

_CACHE_HEADERS = frozenset(CACHE_HEADERS)


def is_from_cache(headers: Mapping[str, str]) -> bool:
    """Returns true if a gateway took the response from its own cache: nobody is charged for it."""
    if _CACHE_HEADERS.isdisjoint(headers):
        return False
    found = (headers[name].strip().lower() for name in headers.keys() & _CACHE_HEADERS)
    return any(value == "true" or value.endswith("hit") for value in found)


def _add(parsed_response: ParsedResponse, responses: Iterator[dict[str, JSON]]) -> None:
    for response in responses:
        if _BESIDE_USAGE.isdisjoint(response) and not any(_vercel_places(response)):
            continue
        usage = parsed_response.usage
        if not _is_in_usd(response):
            if usage is not None:
                usage.reported_cost_usd = None
        elif usage is None or usage.reported_cost_usd is None:
            for name, cost in _beside_usage(response):
                if cost is not None:
                    _set(parsed_response, cost, name, f"{cost.normalize():f}")
                    break


def _set(parsed_response: ParsedResponse, cost: Decimal, name: str, value: JSON) -> None:
    usage = parsed_response.usage = parsed_response.usage or Usage()
    if usage.reported_cost_usd is None:
        usage.reported_cost_usd = cost
        usage.raw = {**usage.raw, name: value}


def _beside_usage(response: dict[str, JSON]) -> Iterator[tuple[str, Decimal | None]]:
    """Yields the costs that a response, or an event, may have beside its usage, with their names
    there."""
    yield "cost", _total(response, _TOTALS)
    for name in ("x_nanogpt_pricing", "costDollars"):
        yield name, _total_of_cost(response.get(name))
    for metadata in _vercel_places(response):
        yield "provider_metadata.gateway", _vercel_cost(fields(metadata.get("gateway")))
    credits = fields(response.get("copilot_usage")).get("total_nano_aiu")
    yield "copilot_usage", _usd(credits, _NANO_CREDITS_PER_USD)


def _vercel_places(response: dict[str, JSON]) -> Iterator[dict[str, JSON]]:
    """Yields the metadata of Vercel's AI Gateway: of a response, of the response of an event, of
    the message or delta of the first choice."""
    choices = response.get("choices")
    choice = fields(choices[0]) if isinstance(choices, list) and choices else {}
    places = (response, response.get("response"), choice.get("message"), choice.get("delta"))
    for place in places:
        if isinstance(place, dict):
            for name in _METADATA:
                if name in place:
                    yield fields(place[name])


def _vercel_cost(gateway: dict[str, JSON]) -> Decimal | None:
    """Vercel charges nothing where the agent's own key paid the provider, about the market's price:
    https://vercel.com/docs/ai-gateway"""
    cost, market = _usd(gateway.get("cost")), _usd(gateway.get("marketCost"))
    return market if cost == 0 and market else cost


def _total(found: Mapping[str, JSON], names: list[str]) -> Decimal | None:
    """Returns the first amount under these names; None also if it is not in USD."""
    if not _is_in_usd(found):
        return None
    for name in names:
        value = found.get(name)
        if value is not None:
            cost = _total_of_cost(value) if isinstance(value, dict) else _usd(value)
            if cost is not None:
                return cost
    return None


def _total_of_cost(value: JSON) -> Decimal | None:
    cost = fields(value)
    if not _is_in_usd(cost):
        return None
    amounts = (_usd(cost.get(name)) for name in _TOTALS_OF_A_COST)
    return next((amount for amount in amounts if amount is not None), None)


def _is_in_usd(found: Mapping[str, JSON]) -> bool:
    for name in _CURRENCIES:
        currency = found.get(name)
        if currency is not None and (
            not isinstance(currency, str) or currency.strip().upper() not in _USD
        ):
            return False
    return True


def _usd(value: JSON, per_usd: int = 1) -> Decimal | None:
    if isinstance(value, str):
        found = _AMOUNT.fullmatch(value.strip()) if len(value) < 64 else None
        amount = Decimal(found[1]) if found else None
    else:
        # The shortest text that means this float is the one that came.
        amount = None if number(value) is None else Decimal(repr(value))
    if amount is None or not 0 <= amount <= _MOST_USD * per_usd:
        return None
    return amount / per_usd
