"""What is billed beside tokens: our own list of prices, and the order in which prices apply. The
expected numbers are worked out by hand from the pages that the list names."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from capture.pricing.charges import charges
from capture.pricing.cost import Cost
from capture.pricing.overrides import read_operator_prices
from capture.pricing.prices import Prices
from capture.pricing.terms import BillingTerms
from capture.wire.types import Usage

NOW = datetime(2026, 12, 1, tzinfo=UTC)


PUBLISHED = Prices()


def fee(provider: str, model: str, units: dict[str, float], prices: Prices = PUBLISHED) -> Cost:
    """Returns the cost of a call without tokens: of nothing but `units`."""
    usage = Usage(tokens_in=0, tokens_out=0, units=units)
    return prices.cost(usage, BillingTerms(model, provider=provider), at=NOW)


BOTH: dict[str, float] = {"web_searches": 2, "preview_web_searches": 1}


def operator(text: str) -> Prices:
    return Prices(read_operator_prices(text, "here"))


def test_each_charge_says_where_it_is_from() -> None:
    for provider, entries in charges().items():
        for charge in entries:
            assert charge.source.startswith("https://"), (provider, charge)
            assert date(2026, 1, 1) <= charge.read <= date.today(), (provider, charge)
            assert charge.usd is None or 0 <= charge.usd < 100, (provider, charge)
            assert charge.per > 0, (provider, charge)
            assert all(glob == glob.lower() for glob in charge.models), (provider, charge)


@pytest.mark.parametrize(
    ("provider", "model", "units", "usd"),
    [
        # https://developers.openai.com/api/docs/pricing: USD 10, 25 and 2.50 for 1,000 calls
        ("openai", "gpt-5.4", {"web_searches": 2}, "0.02"),
        ("openai", "gpt-5.3-codex", {"web_searches": 1, "storage_searches": 2}, "0.015"),
        ("openai", "gpt-4o-search-preview-2025-03-11", {"web_searches": 1}, "0.025"),
        ("openai", "gpt-4o-mini-search-preview", {"web_searches": 1}, "0.025"),
        ("openai", "gpt-5-search-api", {"web_searches": 1}, "0.01"),
        ("openai", "gpt-4.1", {"web_searches": 2, "preview_web_searches": 2}, "0.05"),
        ("openai", "gpt-4.1", {"web_searches": 3, "preview_web_searches": 1}, "0.045"),
        ("openai", "o4-mini", {"web_searches": 1, "preview_web_searches": 1}, "0.01"),
        # https://docs.x.ai/developers/pricing: USD 5 for 1,000 calls, 2.50 for collections
        ("x-ai", "grok-4.5", {"web_searches": 2, "social_searches": 1}, "0.015"),
        ("x-ai", "grok-4.5", {"code_executions": 1, "storage_searches": 2}, "0.01"),
        ("x-ai", "grok-4.5", {"attachment_searches": 1}, "0.01"),
        ("x-ai", "grok-4.5", {"x_posts": 3}, None),
        ("x-ai", "grok-4.5", {"generated_images": 1}, None),
        # https://docs.perplexity.ai/guides/pricing: by the size of the search context
        ("perplexity", "sonar", {"low_context_requests": 1, "web_searches": 2}, "0.005"),
        ("perplexity", "sonar-pro", {"medium_context_requests": 1}, "0.01"),
        ("perplexity", "sonar-reasoning-pro", {"high_context_requests": 1}, "0.014"),
        ("perplexity", "sonar", {}, None),
        ("perplexity", "sonar-deep-research", {"web_searches": 3, "citation_tokens": 500}, "0.016"),
        ("moonshotai", "kimi-k2.5", {"web_searches": 1}, "0.005"),
        ("zai", "glm-4.6", {"web_searches": 1}, None),
        # What a container costs depends on its memory and minutes, and on earlier calls.
        ("openai", "gpt-5.4", {"container_sessions": 1}, None),
        ("openai", "gpt-5.4", {"generated_images": 1}, None),
        ("openai", "gpt-5.4", {"uncounted_tool_calls": 1}, None),
        ("groq", "openai/gpt-oss-120b", {"web_searches": 1}, None),
        # Perplexity sells others' models with its own search.
        ("perplexity", "openai/gpt-5.4", {"web_searches": 1}, None),
        # Azure's tools have prices of their own, which are not on OpenAI's list.
        ("azure", "gpt-5.4", {"web_searches": 1}, None),
        ("azure", "gpt-5.4", {"storage_searches": 1}, None),
    ],
)
def test_what_is_billed_beside_tokens(
    provider: str, model: str, units: dict[str, float], usd: str | None
) -> None:
    expected = None if usd is None else Decimal(usd)
    assert fee(provider, model, units).total_usd == expected


def test_the_operators_price_of_searches_holds_for_all_kinds_of_them() -> None:
    prices = operator('{"gpt-4.1": {"input": 2, "output": 8, "per_web_search": 0.004}}')
    for units in (BOTH, {**BOTH, "preview_web_searches": 0}):
        assert fee("openai", "gpt-4.1", units, prices).total_usd == Decimal("0.008")


def test_an_operators_price_of_tokens_leaves_the_fees_as_published() -> None:
    prices = operator('{"gpt-4.1": [2, 8]}')
    assert fee("openai", "gpt-4.1", BOTH, prices).total_usd == Decimal("0.035")
