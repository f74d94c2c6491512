"""The makers' published prices: genai-prices' data and its matching of names, nothing else of it.

Nothing is fetched here. Importing the library takes 0.2 s, so that is done when the first price is
looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from capture.pricing import catalog
from capture.pricing.catalog import PriceData
from capture.pricing.cost import ModelPrices, UnitPrice

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider
    from genai_prices.units import UnitRegistry

# Those whose models are sold under their own price by others too, in the order they are asked.
MAKERS = (
    *("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "moonshotai"),
    *("zai", "minimax", "voyageai", "perplexity", "meta"),
)
# Prefixes that genai-prices does not know as names of providers.
_ALIASES = {"z-ai": "zai", "x.ai": "x-ai", "meta-llama": "meta", "gemini": "google"}

_BEDROCK = re.compile(
    r"(?:(?P<region>us|eu|apac|ap|au|jp|in|ca|sa|me|af|us-gov|global)\.)?"
    r"(?P<named>(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|moonshotai|nvidia"
    r"|zai|google|minimax|twelvelabs|stability)"
    r"\.(?P<model>.+?)(?:-v\d+(?::\d+)?|:\d+)?)"
)
_AMAZONS_OWN = ("nova-", "titan-")
_FULL_DATE = re.compile(r"[-@]20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])$")
_PUBLISHED = re.compile(r"(?:.*/)?publishers/[^/]+/models/(?P<model>[^/]+)")

# Names of the price that every call has which asked for nothing else.
_STANDARD = frozenset({"", "default", "standard", "auto", "on_demand", "unspecified"})
# Where another tier is known to cost the same.
_SAME_PRICE = {("groq", "flex")}
GROQ_LEAST_SECONDS = 10  # https://groq.com/pricing: a minimum of 10 s is billed for each request


@dataclass(frozen=True, slots=True)
class Match:
    """A model in the data, and how it was found."""

    provider: str
    model: ModelInfo
    is_own: bool  # False: the provider sells another's model, at that one's standard price
    name: str  # the spelling that matched

    @property
    def depends_on_time_of_day(self) -> bool:
        from genai_prices.types import ModelPrice, TimeOfDateConstraint

        prices = [] if isinstance(self.model.prices, ModelPrice) else self.model.prices
        constraints = [price.constraint for price in prices]
        constraints += [variant.constraint for variant in self.model.price_variants or ()]
        return any(isinstance(constraint, TimeOfDateConstraint) for constraint in constraints)


class PublishedPrices:
    """Over the data that came with genai-prices, or what the operator has put in its place."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @cached_property
    def data(self) -> PriceData:
        return catalog.load(self._file)

    @cached_property
    def _by_id(self) -> dict[str, Provider]:
        return {provider.id: provider for provider in self.data.providers}

    # --- which model a name means ---

    def find(
        self, parsed_request: str | None, parsed_response: str | None, provider: str | None
    ) -> Match | None:
        """By the name of the model that answered. The one that was asked for counts where the
        answer names none: a gateway may have sent the call to another."""
        name = parsed_response or parsed_request
        return self._find(name, provider) if name else None

    def _find(self, name: str, provider: str | None) -> Match | None:
        name = name.strip().lower().removeprefix("models/")
        if published := _PUBLISHED.fullmatch(name):
            name = published["model"]
        if name.startswith("arn:"):
            name = name.rpartition("/")[2]
        for spelling in _spellings(name):
            for provider_id, ref in self._routes(spelling, provider):
                if match := self._at(provider_id, ref):
                    return match
        return None

    def _routes(self, name: str, provider: str | None) -> Iterator[tuple[str, str]]:
        """Providers and names to look under, the most telling first."""
        seller = self._provider_id(provider) if provider else None
        if seller:
            yield seller, name
        rest = name
        while "/" in rest:  # LiteLLM, OpenRouter: openrouter/openai/gpt-4o
            prefix, _, rest = rest.partition("/")
            if not self._hosts(seller):
                seller = self._provider_id(prefix) or seller
            if seller:
                yield seller, rest
        if self._hosts(seller):
            return
        bedrock = _BEDROCK.fullmatch(rest)
        if bedrock:
            yield "aws", rest
            if bedrock["region"] not in (None, "global"):
                # All regions cost the same, which may be more than no region: some are not listed.
                yield "aws", bedrock["named"]
        elif rest.startswith(_AMAZONS_OWN):
            yield "aws", rest
        for ref in (rest, bedrock["model"]) if bedrock else (rest,):
            for provider in MAKERS:
                if provider != "google" or "claude" not in ref:  # Google resells them
                    yield provider, ref

    def _hosts(self, provider_id: str | None) -> bool:
        """Whether it has a price list of its own for the models of others. What is not in it may
        cost anything: DeepSeek's R1 costs twenty times as much at Fireworks as at DeepSeek."""
        provider = self._by_id.get(provider_id or "")
        return (
            provider is not None
            and provider.id not in (*MAKERS, "aws")
            and not provider.fallback_model_providers
        )

    def _provider_id(self, name: str) -> str | None:
        from genai_prices.data_snapshot import find_provider_by_id

        name = _ALIASES.get(name, name)
        if name in self._by_id:
            return name
        found = find_provider_by_id(self.data.providers, name)
        return found.id if found else None

    def _at(self, provider_id: str, ref: str) -> Match | None:
        provider = self._by_id.get(provider_id)
        if provider is None:
            return None
        model = provider.find_model(ref, all_providers=self.data.providers)
        if model is None:
            return None
        # Ollama's names: "deepseek-r1:8b" is a small model of another maker, not DeepSeek's own.
        if ":" in ref and ":" not in model.id and provider_id != "aws":
            return None
        return Match(provider_id, model, any(model is own for own in provider.models), ref)

    # --- what it costs ---

    def prices_of(
        self,
        match: Match,
        *,
        at: datetime,
        service_tier: str | None = None,
        speed: str | None = None,
        processing: str | None = None,
    ) -> ModelPrices | str:
        """The model's prices at that time, in that tier; a sentence where they are not known."""
        context = _context(match.provider, service_tier, speed, processing)
        for kind, value in context.items():
            if not _has_variant(match, kind, value, context, at):
                return f"{match.model.id} has no published price for {kind} {value}"
        model_price = match.model.get_prices(at, context)
        given = {key: usd for key, usd in model_price.__dict__.items() if usd is not None}
        prices = []
        for key, usd in given.items():
            price = _unit_price(key, usd)
            if price is None:  # of data that is newer than the installed library
                return f"{match.model.id} is priced by {key}, which is not known here"
            prices.append(price)
        if not prices and match.model.id.endswith(":free"):
            free = (_unit_price(key, Decimal(0)) for key in ("input_mtok", "output_mtok"))
            prices = [price for price in free if price]
        if not prices:
            return f"{match.model.id} has no published price"
        if match.provider == "groq":
            prices = [_with_least(price) for price in prices]
        return ModelPrices(
            self.data.source,
            prices,
            is_strict=any(price.usd for price in prices),
            embeds="embed" in match.model.id,
            # Google lists audio apart where it costs more. Models that speak only have their
            # voice's price as that of their output.
            audio_costs_as_text=match.provider == "google" or "tts" in match.model.id,
        )


def _spellings(name: str) -> Iterator[str]:
    yield name
    dashed = name.replace("@", "-")  # Vertex: claude-sonnet-4-5@20250929
    if dashed != name:
        yield dashed
    if "claude" in dashed and (plain := re.sub(r"(?<=\d)\.(?=\d)", "-", dashed)) != dashed:
        yield plain  # OpenRouter: claude-sonnet-4.5
        dashed = plain
    if (undated := _FULL_DATE.sub("", dashed)) != dashed:
        yield undated  # a snapshot that the data does not know yet


def _context(
    provider: str, service_tier: str | None, speed: str | None, processing: str | None
) -> dict[str, str]:
    tier = (service_tier or "").lower().removeprefix("service_tier_")  # Gemini's spelling
    if tier == "batch":  # Anthropic's
        tier, processing = "", "batch"
    if (provider, tier) in _SAME_PRICE:
        tier = ""
    parsed_request = {
        "service_tier": tier,
        "speed": (speed or "").lower(),
        "processing": (processing or "").lower(),
    }
    return {kind: value for kind, value in parsed_request.items() if value not in _STANDARD}


def _has_variant(
    match: Match, kind: str, value: str, context: dict[str, str], at: datetime
) -> bool:
    return match.is_own and any(
        variant.when.get(kind) == value
        and all(context.get(key) == wanted for key, wanted in variant.when.items())
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in match.model.price_variants or ()
    )


@cache
def _registry() -> UnitRegistry:
    from genai_prices.data_units import unit_data
    from genai_prices.units import UnitRegistry

    return UnitRegistry(unit_data)


def _unit_price(key: str, value: object) -> UnitPrice | None:
    """None for a unit that the installed library does not know."""
    from genai_prices.types import TieredPrices

    try:
        unit = _registry().unit_for_price_key(key)
    except KeyError:
        return None
    dimensions = frozenset(unit.dimensions.items())
    if isinstance(value, TieredPrices):
        tiers = tuple((tier.start, tier.price) for tier in reversed(value.tiers))
        return UnitPrice(unit.usage_key, value.base, unit.per, dimensions, tiers)
    assert isinstance(value, Decimal)
    return UnitPrice(unit.usage_key, value, unit.per, dimensions)


def _with_least(price: UnitPrice) -> UnitPrice:
    if not price.unit.endswith("audio_seconds"):
        return price
    return UnitPrice(
        price.unit, price.usd, price.per, price.dimensions, price.tiers, GROQ_LEAST_SECONDS
    )
