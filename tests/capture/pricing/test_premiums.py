"""What a call costs more in one region than anywhere. The multipliers are those of the pages that
premiums.toml names; the prices are the makers' own."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from capture.pricing.cost import Cost
from capture.pricing.overrides import read_operator_prices
from capture.pricing.places import place_of
from capture.pricing.premiums import premium_of, premiums
from capture.pricing.prices import Prices
from capture.pricing.terms import BillingTerms
from capture.wire.types import Usage

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
PUBLISHED = Prices()


def place(
    upstream: str = "", *, path: str = "", model: str | None = None, geo: object = None
) -> str | None:
    return place_of(upstream=upstream, path=path, model=model, inference_geo=geo)


@pytest.mark.parametrize(
    ("upstream", "where"),
    [
        ("https://api.openai.com", None),
        ("https://eu.api.openai.com", "openai eu"),
        ("http://EU.api.openai.com:443/v1", "openai eu"),
        ("wss://us.api.openai.com/v1", "openai us"),
        ("https://api.openai.com.example.org", None),
        ("https://eu.api.openai.com.example.org", None),
        ("https://us.api.x.ai", "x-ai us"),
        ("https://api.x.ai", None),
        ("https://us-api.together.ai", "together us"),
        ("https://api.together.xyz", None),
        ("https://acme.openai.azure.com", "azure acme"),
        ("https://acme.services.ai.azure.com/models", "azure acme"),
        ("https://acme.openai.azure.us", "azure acme"),
        ("https://europe-west1-aiplatform.googleapis.com", "vertex europe-west1"),
        ("https://aiplatform.eu.rep.googleapis.com", "vertex eu"),
        ("https://aiplatform.googleapis.com", None),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "bedrock eu-central-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "bedrock us-gov-west-1"),
        ("http://127.0.0.1:8000", None),
        ("http://[broken", None),
        ("", None),
    ],
)
def test_host_names_the_region(upstream: str, where: str | None) -> None:
    assert place(upstream) == where


@pytest.mark.parametrize(
    ("model", "where"),
    [
        ("global.anthropic.claude-opus-5", None),
        ("eu.amazon.nova-lite-v1:0", "bedrock eu"),
        ("US.anthropic.claude-opus-5", "bedrock us"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/jp.anthropic.claude-opus-5", "bedrock jp"),
        (
            "arn:aws:bedrock:us-east-1:123:application-inference-profile/abc",
            "bedrock application-inference-profile",
        ),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:1:imported-model/x", "bedrock us-gov-west-1"),
        ("gpt-4o", None),
        ("us.x", None),
    ],
)
def test_bedrock_names_the_region_in_the_model(model: str, where: str | None) -> None:
    assert place("http://127.0.0.1", model=model) == where


def test_path_of_vertex_precedes_its_host() -> None:
    host = "https://us-central1-aiplatform.googleapis.com"
    path = "/v1/projects/p/locations/global/publishers/google/models/gemini-3.5-flash:countTokens"
    assert place(host, path=path) is None
    assert place(host, path=path.replace("global", "EU")) == "vertex eu"
    assert place(host, path="/v1/locations/x") == "vertex us-central1"
    openapi = "/to/v/v1/projects/p/locations/europe-west4/endpoints/openapi/chat/completions"
    assert place("https://api.example.org", path=openapi) == "vertex europe-west4"


@pytest.mark.parametrize("geo", ["global", "not_available", "", " Global "])
def test_what_the_response_says_precedes_the_host(geo: str) -> None:
    assert place("https://acme.services.ai.azure.com", geo=geo) is None
    assert place("https://api.anthropic.com", geo="us") == "anthropic us"
    assert place("https://api.anthropic.com", geo=7) is None


def usd(model: str, where: str | None, *, at: datetime = NOW, provider: str | None = None) -> Cost:
    terms = BillingTerms(model, provider=provider, place=where)
    return PUBLISHED.cost(Usage(tokens_in=1000, tokens_out=100), terms, at=at)


@pytest.mark.parametrize(
    ("model", "where", "right"),
    [
        # https://developers.openai.com/api/docs/pricing: 2.50 and 15; 2.50 and 10; 1.25 and 10
        ("gpt-5.4", None, "0.004"),
        ("gpt-5.4", "openai eu", "0.0044"),
        ("gpt-5.4-2026-03-05", "openai in", "0.0044"),
        ("gpt-4o", "openai eu", "0.0035"),
        ("gpt-4o-2024-08-06", "openai us", "0.0035"),
        ("gpt-5", "openai eu", "0.00225"),
        ("gpt-image-2", "openai eu", None),
        # https://platform.claude.com/docs/en/about-claude/pricing: 5 and 25; 3 and 15; 1 and 5
        ("claude-opus-4-6", "anthropic us", "0.00825"),
        ("claude-opus-4-5", "anthropic us", "0.0075"),
        ("claude-haiku-4-5", "anthropic us", "0.0015"),
        ("claude-opus-4-6", "anthropic eu", None),
        ("claude-haiku-4-5@20251001", "vertex us-east5", "0.00165"),
        ("claude-sonnet-4@20250514", "vertex us-east5", "0.0045"),
        # https://ai.google.dev/gemini-api/docs/pricing: 1.50 and 9; 0.30 and 2.50
        ("gemini-3.5-flash", "vertex eu", "0.00264"),
        ("gemini-2.5-flash", "vertex eu", "0.00055"),
        ("gemini-3-pro-preview", "vertex us-central1", None),
        # https://aws.amazon.com/bedrock/pricing: 3.30 and 16.50 in a region; 0.06 and 0.24
        ("eu.anthropic.claude-sonnet-4-6", "bedrock eu", "0.00495"),
        ("amazon.nova-lite-v1:0", "bedrock us-east-1", "0.000084"),
        ("amazon.nova-lite-v1:0", "bedrock eu-west-1", None),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock us-gov", None),
        ("gpt-4o", "azure acme", None),
        ("text-embedding-3-small", "azure acme", None),
    ],
)
def test_premium_is_that_of_the_model_in_the_place(
    model: str, where: str | None, right: str | None
) -> None:
    found = usd(model, where, provider="aws" if where and "bedrock" in where else None)
    assert found.total_usd == (None if right is None else Decimal(right))
    assert found.is_noted == (right is None)


def test_premium_begins_on_a_day() -> None:
    before = datetime(2026, 6, 30, 23, tzinfo=UTC)
    assert premium_of("vertex eu", ("gemini-3.5-flash",), before.date(), {}) == 1
    assert premium_of("vertex eu", ("gemini-3.5-flash",), NOW.date(), {}) == Decimal("1.1")
    assert premium_of("anthropic us", ("claude-opus-4-6",), NOW.date(), {}) == Decimal("1.1")
    assert premium_of("openai eu", ("gpt-7-2027-01-01",), NOW.date(), {}) == Decimal("1.1")
    assert premium_of("moon", ("gpt-7",), NOW.date(), {}) == 1


@pytest.mark.parametrize(
    ("where", "right"),
    # https://openai.com/api/pricing: 2.50 and 10, for 1,000 and 100 tokens
    [("azure acme", "0.0035"), ("azure acme-eu", "0.00385"), ("openai eu", "0.0035")],
)
def test_operators_premium_comes_first(where: str, right: str) -> None:
    prices = Prices(premiums={"azure acme-eu": Decimal("1.1"), "azure *": Decimal(1)})
    terms = BillingTerms("my-deployment", "gpt-4o-2024-08-06", provider="azure", place=where)
    found = prices.cost(Usage(tokens_in=1000, tokens_out=100), terms, at=NOW)
    assert found.total_usd == Decimal(right)


def test_operators_price_holds_everywhere() -> None:
    prices = Prices(read_operator_prices('{"my-deployment": [1, 2]}', "x"))
    terms = BillingTerms("my-deployment", "gpt-4o-2024-08-06", provider="azure", place="azure acme")
    found = prices.cost(Usage(tokens_in=1000, tokens_out=100), terms, at=NOW)
    assert (found.total_usd, found.source) == (Decimal("0.0012"), "operator")


def test_search_costs_the_same_everywhere() -> None:
    usage = Usage(tokens_in=1000, tokens_out=100, units={"web_searches": 1})
    terms = BillingTerms("claude-sonnet-4-6", provider="anthropic", place="anthropic us")
    found = PUBLISHED.cost(usage, terms, at=NOW)
    assert found.total_usd == Decimal("0.01495")  # 0.0045 x 1.1 + 0.01


def test_each_entry_names_its_page() -> None:
    assert all(entry.source.startswith("https://") and entry.read for entry in premiums())
