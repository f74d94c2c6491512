"""Prices that genai-prices has wrong. The expected numbers are worked out by hand from the pages
that the list names."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices.data import providers

from capture.pricing.corrections import corrections
from capture.pricing.prices import Prices
from capture.pricing.terms import BillingTerms
from capture.wire.types import Usage

PUBLISHED = Prices()
NOW = date(2026, 12, 1)
FIREWORKS = "accounts/fireworks/models"


def usd(
    model: str,
    provider: str,
    day: date = NOW,
    *,
    processing: str | None = None,
    place: str | None = None,
) -> Decimal | None:
    """Returns the cost of 100,000 tokens in, of which 10,000 are cached, and 10,000 out."""
    usage = Usage(tokens_in=100_000, tokens_out=10_000, tokens_cache_read=10_000)
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    terms = BillingTerms(model, provider=provider, processing=processing, place=place)
    return PUBLISHED.cost(usage, terms, at=at).total_usd


@pytest.mark.parametrize(
    ("provider", "model", "right"),
    [
        ("x-ai", "grok-code-fast-1", "0.112"),  # 1, 2, cached 0.20
        ("x-ai", "grok-code-fast", "0.112"),
        ("google", "gemini-3.8-flash-cyber", "0.2115"),  # 1.50, 7.50, cached 0.15
        ("google", "gemini-3.8-flash", "0.10575"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "0.1144"),  # 1.04
        ("together", "mistralai/Mixtral-8x7B-Instruct-v0.1", "0.066"),  # 0.60
        ("fireworks", f"{FIREWORKS}/deepseek-v4-flash-0731", "0.02647"),  # 0.22, 0.66, 0.007
        ("fireworks", f"{FIREWORKS}/gemma-3-27b-it", "0.099"),  # 0.90
        ("mistral", "mistral-large-latest", "0.0605"),  # 0.50, 1.50, cached 0.05
        ("mistral", "mistral-large-2411", "0.26"),  # 2, 6
        ("mistral", "mistral-medium", "0.2115"),
        ("mistral", "magistral-medium-latest", "0.2115"),
        ("mistral", "magistral-small-latest", "0.01965"),  # 0.15, 0.60, cached 0.015
    ],
)
def test_a_wrong_price_is_corrected(provider: str, model: str, right: str) -> None:
    assert usd(model, provider) == Decimal(right)


def test_correction_begins_on_a_day() -> None:
    # 0.20, 1.50, cached 0.02
    assert usd("grok-code-fast-1", "x-ai", date(2026, 5, 14)) == Decimal("0.0332")
    assert usd("grok-code-fast-1", "x-ai", date(2026, 5, 15)) == Decimal("0.112")


def test_a_corrected_price_has_its_tiers() -> None:
    usage = Usage(tokens_in=200_000, tokens_out=1_000_000)
    at = datetime(2026, 12, 1, tzinfo=UTC)
    cost = PUBLISHED.cost(usage, BillingTerms("grok-code-fast-1", provider="x-ai"), at=at)
    assert cost.total_usd == Decimal("4.4")


def test_a_corrected_model_has_no_price_in_a_tier() -> None:
    assert usd("gemini-3.8-flash-cyber", "google", processing="batch") is None
    assert usd("gemini-3.8-flash", "google", processing="batch") is not None


def test_a_corrected_price_costs_more_in_a_region() -> None:
    assert usd("gemini-3.8-flash-cyber", "google", place="vertex eu") == Decimal("0.23265")


def test_each_correction_says_where_it_is_from_and_corrects_something() -> None:
    listed = {provider.id: provider for provider in providers}
    for provider, entries in corrections().items():
        for correction in entries:
            assert correction.source.startswith("https://"), correction
            assert date(2026, 1, 1) <= correction.read <= date.today(), correction
            assert correction.models and provider in listed, correction
            assert all(glob == glob.lower() for glob in correction.models), correction
