"""Published prices: the data of genai-prices and its matching of model names, and nothing else of
that library. Nothing is fetched here.

genai_prices is imported inside functions for the sake of start-up time: it takes 0.2 s (it brings
pydantic), so that is spent when the first price is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from capture.pricing import catalog
from capture.pricing.catalog import PriceData
from capture.pricing.charges import add_charges
from capture.pricing.corrections import corrected, correction_of
from capture.pricing.cost import ModelPrices, UnitPrice
from capture.pricing.premiums import with_premium
from capture.pricing.terms import BillingTerms

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider
    from genai_prices.units import UnitRegistry

# Companies whose models other providers sell too, at their price; in the order of the lookup.
MODEL_DEVELOPERS = (
    *("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "moonshotai"),
    *("zai", "minimax", "voyageai", "perplexity", "meta"),
)
# Prefixes of model names that genai-prices does not know as names of providers.
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

# Names of the standard price: the one of a call that did not ask for another.
_STANDARD = frozenset({"", "default", "standard", "auto", "on_demand", "unspecified"})
# Tiers that are known to cost the same as the standard one.
_SAME_PRICE = {("groq", "flex")}
# Sell the models of others with searches and other tools of their own, at prices of their own.
_WITH_OWN_TOOLS = ("azure", "aws", "perplexity")
GROQ_MIN_SECONDS = 10  # https://groq.com/pricing: a minimum of 10 s is billed for each request


@dataclass(frozen=True, slots=True)
class ModelMatch:
    """A model in the data, and the way in which it was found."""

    provider: str
    model: ModelInfo
    # False: the provider sells a model of another developer, at that developer's standard price.
    is_own: bool
    name: str  # the spelling that matched

    @property
    def depends_on_time_of_day(self) -> bool:
        from genai_prices.types import ModelPrice, TimeOfDateConstraint

        prices = [] if isinstance(self.model.prices, ModelPrice) else self.model.prices
        constraints = [price.constraint for price in prices]
        constraints += [variant.constraint for variant in self.model.price_variants or ()]
        return any(isinstance(constraint, TimeOfDateConstraint) for constraint in constraints)


class PublishedPrices:
    """Lookups in the data that came with genai-prices, or in the `file` that the operator put in
    its place."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @cached_property
    def data(self) -> PriceData:
        return catalog.load_prices(self._file)

    @cached_property
    def _by_id(self) -> dict[str, Provider]:
        return {provider.id: provider for provider in self.data.providers}

    # --- which model a name means ---

    def find(self, terms: BillingTerms) -> ModelMatch | None:
        name = _bedrock_name(terms) or terms.model
        return self._find(name, terms.provider) if name else None

    def _find(self, name: str, provider: str | None) -> ModelMatch | None:
        name = name.strip().lower().removeprefix("models/")
        if published := _PUBLISHED.fullmatch(name):
            name = published["model"]
        if name.startswith("arn:"):
            name = name.rpartition("/")[2]
        for spelling in _spellings(name):
            for provider_id, ref in self._routes(spelling, provider):
                if match := self._match_at(provider_id, ref):
                    return match
        return None

    def _routes(self, name: str, provider: str | None) -> Iterator[tuple[str, str]]:
        """Yields providers and names to look under, the most specific first."""
        seller = self._provider_id(provider) if provider else None
        if seller:
            yield seller, name
        rest = name
        while "/" in rest:  # LiteLLM, OpenRouter: openrouter/openai/gpt-4o
            whole = rest
            prefix, _, rest = rest.partition("/")
            if not self._has_own_price_list(seller) and (named := self._provider_id(prefix)):
                seller = named
                yield seller, whole  # Perplexity has sonar, and another model as perplexity/sonar
            if seller:
                yield seller, rest
        if self._has_own_price_list(seller):
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
            for provider in MODEL_DEVELOPERS:
                if provider != "google" or "claude" not in ref:  # Google resells them
                    yield provider, ref

    def _has_own_price_list(self, provider_id: str | None) -> bool:
        """Returns true for hosts that sell the models of others at prices of their own. A model
        missing from such a list may cost anything: DeepSeek's R1 costs twenty times as much at
        Fireworks as at DeepSeek."""
        provider = self._by_id.get(provider_id or "")
        return (
            provider is not None
            and provider.id not in (*MODEL_DEVELOPERS, "aws")
            and not provider.fallback_model_providers
        )

    def _provider_id(self, name: str) -> str | None:
        from genai_prices.data_snapshot import find_provider_by_id

        name = _ALIASES.get(name, name)
        if name in self._by_id:
            return name
        found = find_provider_by_id(self.data.providers, name)
        return found.id if found else None

    def _match_at(self, provider_id: str, ref: str) -> ModelMatch | None:
        provider = self._by_id.get(provider_id)
        if provider is None:
            return None
        model = provider.find_model(ref, all_providers=self.data.providers)
        if model is None:
            return None
        # Ollama's names: "deepseek-r1:8b" is a small model of another company, not DeepSeek's own.
        if ":" in ref and ":" not in model.id and provider_id != "aws":
            return None
        return ModelMatch(provider_id, model, any(model is own for own in provider.models), ref)

    # --- what it costs ---

    def unlisted_prices(self, terms: BillingTerms, day: date) -> ModelPrices | None:
        """Returns the prices of a model that the data lacks; None: we have none either."""
        name = (terms.model or "").strip().lower().rpartition("/")[2]
        found = correction_of(terms.provider or "", (name,), day) if name else None
        if found is None or _context(terms.provider or "", terms):
            return None
        return ModelPrices(self.data.source, found.price, is_strict=True)

    def prices_of(
        self, match: ModelMatch, terms: BillingTerms, *, at: datetime, times: Decimal = Decimal(1)
    ) -> ModelPrices | str:
        """Returns the model's prices at that time, in the tier that the terms name, or a sentence
        that says why they are not known. Tokens cost `times` their price."""
        context = _context(match.provider, terms)
        names = (match.name, match.model.id)
        correction = correction_of(match.provider, names, at.date())
        for kind, value in context.items():
            if correction is not None or not _has_variant(match, kind, value, context, at):
                return f"{match.model.id} has no published price for {kind} {value}"
        model_price = match.model.get_prices(at, context)
        given = {key: usd for key, usd in model_price.__dict__.items() if usd is not None}
        prices = []
        for key, usd in given.items():
            price = _unit_price(key, usd)
            if price is None:  # the data is newer than the installed library
                return f"{match.model.id} is priced by {key}, which is not known here"
            prices.append(price)
        if correction is not None:
            prices = corrected(prices, correction)
        if not prices and match.model.id.endswith(":free"):
            free = (_unit_price(key, Decimal(0)) for key in ("input_mtok", "output_mtok"))
            prices = [price for price in free if price]
        if not prices:
            return f"{match.model.id} has no published price"
        if times != 1:
            prices = [with_premium(price, times) for price in prices]
        if match.provider == "groq":
            prices = [_with_minimum(price) for price in prices]
        is_strict = any(price.usd for price in prices)
        if not match.is_own or (
            terms.provider in _WITH_OWN_TOOLS and terms.provider != match.provider
        ):
            prices = [p for p in prices if ("family", "tool_calls") not in p.dimensions]
        else:
            prices = add_charges(prices, match.provider, names, at.date())
        return ModelPrices(
            self.data.source,
            prices,
            is_strict=is_strict,
            embeds="embed" in match.model.id,
            # Google lists audio separately where it costs more. For models that only speak, the
            # price of their output is that of speech.
            audio_costs_as_text=match.provider == "google" or "tts" in match.model.id,
            images_cost_as_text=match.provider != "google",
        )


def _bedrock_name(terms: BillingTerms) -> str | None:
    """Returns the requested name where it is Bedrock's name of the model that responded, whose own
    name does not say in which region it ran."""
    requested, responded = terms.requested_model, terms.response_model
    if not requested or not responded or requested == responded:
        return None
    requested = requested.lower().rpartition("/")[2]
    found = _BEDROCK.fullmatch(requested)
    if found is None:
        return None
    bare = _FULL_DATE.sub("", responded.lower().rpartition("/")[2])
    return requested if found["model"].startswith(bare) else None


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


def _context(provider: str, terms: BillingTerms) -> dict[str, str]:
    """Returns what the call asks for beyond the standard price, as genai-prices names it."""
    tier = (terms.service_tier or "").lower().removeprefix("service_tier_")  # Gemini's spelling
    processing = (terms.processing or "").lower()
    if tier == "batch":  # Anthropic's spelling
        tier, processing = "", "batch"
    if (provider, tier) in _SAME_PRICE:
        tier = ""
    context = {
        "service_tier": tier,
        "speed": (terms.speed or "").lower(),
        "processing": processing,
    }
    return {kind: value for kind, value in context.items() if value not in _STANDARD}


def _has_variant(
    match: ModelMatch, kind: str, value: str, context: dict[str, str], at: datetime
) -> bool:
    return match.is_own and any(
        variant.when.get(kind) == value
        and all(context.get(key) == required for key, required in variant.when.items())
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in match.model.price_variants or ()
    )


@cache
def _registry() -> UnitRegistry:
    from genai_prices.data_units import unit_data
    from genai_prices.units import UnitRegistry

    return UnitRegistry(unit_data)


def _unit_price(key: str, value: object) -> UnitPrice | None:
    """Returns None for a unit that the installed library does not know."""
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


def _with_minimum(price: UnitPrice) -> UnitPrice:
    if not price.unit.endswith("audio_seconds"):
        return price
    return replace(price, at_least=GROQ_MIN_SECONDS)
