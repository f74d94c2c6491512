"""The arithmetic that turns usage and the prices of a model into a cost, in Decimal from start to
end.

Prices are prices of units, as genai-prices names them: `input_tokens`, `cache_read_tokens`,
`web_searches`. A unit is identified by its dimensions. It contains every unit that has the same
dimensions and more: cached tokens are part of the input. Units that fall under two prices are
charged by the narrower one; units without a price of their own are charged as what contains them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from capture.wire.types import Usage

Dimensions = frozenset[tuple[str, str]]

UNKNOWN = "unknown"
FETCHED = "fetched"  # the call fetched a response that another call has paid for
FREE = "free"
PLACES = Decimal("1e-10")
ZERO = Decimal("0E-10")
MAX_UNITS = 10**12
MAX_USD = 10**8  # the ledger's columns hold no more

_FIELDS = {
    "input_tokens": "tokens_in",
    "output_tokens": "tokens_out",
    "cache_read_tokens": "tokens_cache_read",
    "cache_write_tokens": "tokens_cache_write",
    "cache_write_1h_tokens": "tokens_cache_write_1h",
    "input_audio_tokens": "tokens_audio_in",
    "output_audio_tokens": "tokens_audio_out",
    "input_image_tokens": "tokens_image_in",
    "output_image_tokens": "tokens_image_out",
    "output_reasoning_tokens": "tokens_reasoning",
}
# Units by which a model may be priced instead of tokens, or in addition to them.
_MEASURES = (
    "audio_seconds",
    "input_audio_seconds",
    "output_audio_seconds",
    "input_characters",
    "input_text_messages",
    "input_pixels",
    "input_document_pages",
    "input_annotated_document_pages",
    "rerank_searches",
    "images",
    "video_seconds",
)
# Units billed on top of all that: where one has no price, the cost is unknown.
_EXTRAS = (
    "web_searches",
    "preview_web_searches",  # those of them that were made with OpenAI's older tool
    "other_searches",
    "map_searches",
    "retrieval_searches",
    "uncounted_searches",
    "social_searches",
    "storage_searches",
    "code_executions",
    "attachment_searches",
    "live_search_sources",
    "page_visits",
    "x_posts",
    "x_users",
    "citation_tokens",
    "container_sessions",
    "generated_images",
    "other_tool_calls",
    "uncounted_tool_calls",  # of a response that was too large to be read
    "unsplit_tool_tokens",
    "images",
    "output_video_tokens",
    "video_seconds",
    "video_1080p_seconds",
    "video_4k_seconds",
    "video_other_seconds",
    "silent_video_seconds",
    "cached_token_hours",  # what is stored in a cache, times the hours
    "uncounted_cache_storage",
)
# Those that are a part of another one: an operator's price of the whole holds for them too.
_PARTS = {
    "preview_web_searches": "web_searches",
    "video_1080p_seconds": "video_seconds",
    "video_4k_seconds": "video_seconds",
    "video_other_seconds": "video_seconds",
    "silent_video_seconds": "video_seconds",
}


def exact_usd(usd: Decimal) -> str:
    """Returns an amount with all of its digits, and neither trailing zeros nor an exponent."""
    return f"{usd.normalize():f}"


class CostParts(NamedTuple):
    """The parts of a cost, in USD. `input` is for what was neither read from a cache nor written to
    one; `other` is for what has no direction: searches, requests, audio by the hour, and costs that
    the provider reports."""

    input: Decimal = ZERO
    cache_read: Decimal = ZERO
    cache_write: Decimal = ZERO
    output: Decimal = ZERO
    other: Decimal = ZERO


class Cost(NamedTuple):
    """The cost of one call, in USD with 10 decimal places: the parts add up to the total exactly.

    Where the cost is unknown, `total_usd`, `parts` and `cache_savings_usd` are None, `source` is
    "unknown", and `why` says what is missing. `cache_savings_usd` is what the tokens read from a
    cache would have cost uncached, less what they did cost.
    """

    total_usd: Decimal | None
    parts: CostParts | None
    source: str
    cache_savings_usd: Decimal | None
    why: str | None = None
    # True if the call itself has a note that says why: what would be needed is not on the wire.
    is_noted: bool = False

    @classmethod
    def unknown(cls, why: str, *, is_noted: bool = False) -> Cost:
        return cls(None, None, UNKNOWN, None, why, is_noted)

    @classmethod
    def fetched(cls) -> Cost:
        return cls(ZERO, CostParts(), FETCHED, ZERO)

    @classmethod
    def free(cls) -> Cost:
        return cls(ZERO, CostParts(), FREE, ZERO)

    @classmethod
    def without_parts(cls, usd: Decimal, source: str) -> Cost:
        """Returns a cost of which only the total is known."""
        total = usd.quantize(PLACES, ROUND_HALF_EVEN)
        return cls(total, CostParts(other=total), source, None)


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """A price of `usd` for every `per` units. Past the boundary of a tier, all units cost the price
    of the tier."""

    unit: str
    usd: Decimal
    per: int
    dimensions: Dimensions
    tiers: tuple[tuple[int, Decimal], ...] = ()  # (input tokens above which, USD), highest first
    at_least: int = 0  # units billed as soon as there is any
    at_most: int | None = None  # units billed of a call, however many there are

    def usd_at(self, tokens_in: int) -> Decimal:
        for above, usd in self.tiers:
            if tokens_in > above:
                return usd
        return self.usd

    def is_part_of(self, other: UnitPrice) -> bool:
        return self.dimensions > other.dimensions

    @property
    def part_index(self) -> int:
        """The index in CostParts of the part that this price adds to."""
        kinds = dict(self.dimensions)
        if kinds.get("token_type") == "cache_read":
            return 1
        if kinds.get("token_type") == "cache_write":
            return 2
        return {"input": 0, "output": 3}.get(kinds.get("direction", ""), 4)


@dataclass(frozen=True, slots=True)
class _Step:
    price: UnitPrice
    field: str | None  # of Usage; None: it is in `units`
    part_index: int
    contained: tuple[int, ...]  # indexes of earlier steps whose units are among this one's
    uncached: UnitPrice | None  # the price that units read from a cache would have had without it
    # Pairs of Usage fields whose overlap this unit counts: cached tokens and audio tokens.
    overlaps: tuple[tuple[str, str], ...]


class ModelPrices:
    """The prices of one model, at one time, in one service tier.

    `is_strict` marks a published list: some units that it gives no price for are known to cost
    something else than the units that contain them. An operator's list is taken as complete.
    """

    def __init__(
        self,
        source: str,
        prices: Iterable[UnitPrice],
        *,
        is_strict: bool,
        embeds: bool = False,
        audio_costs_as_text: bool = False,
        images_cost_as_text: bool = True,
    ) -> None:
        self.source = source
        self.prices = tuple(sorted(prices, key=lambda p: (-len(p.dimensions), p.unit)))
        self._units = units = frozenset(price.unit for price in self.prices)
        self._steps = tuple(self._step(i) for i in range(len(self.prices)))
        self._is_strict = is_strict
        self._has_input = "input_tokens" in units
        self._needs_output = "output_tokens" in units and not embeds
        self._has_request = "requests" in units
        # Perplexity's price of a request is by the size of what it searches through.
        self._request_sizes = tuple(unit for unit in units if unit.endswith("_context_requests"))
        self._measures = tuple(m for m in _MEASURES if m in units)
        by_text = audio_costs_as_text or not is_strict
        self._prices_audio_in = by_text or "input_audio_tokens" in units
        self._prices_audio_out = by_text or "output_audio_tokens" in units
        self._prices_images_out = (
            images_cost_as_text or not is_strict or "output_image_tokens" in units
        )
        self._prices_hour_cache = (
            not is_strict or "cache_write_1h_tokens" in units or "cache_write_tokens" not in units
        )

    def _step(self, i: int) -> _Step:
        price = self.prices[i]
        kinds = dict(price.dimensions)
        uncached = None
        if kinds.get("token_type") == "cache_read":
            plain = price.dimensions - {("token_type", "cache_read")}
            uncached = next((p for p in self.prices if p.dimensions <= plain), None)
        overlaps: tuple[tuple[str, str], ...] = ()
        if kinds.get("token_type") == "cache_read" and "modality" in kinds:
            overlaps = (("tokens_cache_read", f"tokens_{kinds['modality']}_in"),)
        return _Step(
            price=price,
            field=_FIELDS.get(price.unit),
            part_index=price.part_index,
            contained=tuple(j for j in range(i) if self.prices[j].is_part_of(price)),
            uncached=uncached,
            overlaps=overlaps,
        )

    def cost(self, usage: Usage) -> Cost:
        why = self._why_unknown(usage)
        if why is not None:
            return Cost.unknown(why)
        tokens_in = usage.tokens_in or 0
        charged: list[int | Decimal] = []  # units of each step, without those of narrower steps
        parts = [ZERO, ZERO, ZERO, ZERO, ZERO]
        savings = ZERO
        for step in self._steps:
            price = step.price
            n = self._count(usage, step)
            if n is None:
                return Cost.unknown(f"the count of {price.unit} is not a valid count")
            for j in step.contained:
                n -= charged[j]
            if n < 0:
                return Cost.unknown(f"the parts of {price.unit} add up to more than its count")
            charged.append(n)
            if n:
                usd = price.usd_at(tokens_in) if price.tiers else price.usd
                parts[step.part_index] += n * usd / price.per
                if step.uncached is not None:
                    uncached = step.uncached
                    savings += n * (uncached.usd_at(tokens_in) - usd) / price.per
        return self._round(parts, savings)

    def _round(self, exact: list[Decimal], savings: Decimal) -> Cost:
        """Rounds the total once. Each part is what it adds to the rounded sum so far, so that the
        parts add up to the total and none is below 0."""
        parts = []
        total = rounded = ZERO
        for part in exact:
            if part:
                total += part
                if total >= MAX_USD:
                    return Cost.unknown("it would be implausibly high")
                so_far = total.quantize(PLACES, ROUND_HALF_EVEN)
                parts.append(so_far - rounded)
                rounded = so_far
            else:
                parts.append(ZERO)
        saved = savings.quantize(PLACES, ROUND_HALF_EVEN) if savings else ZERO
        return Cost(rounded, CostParts(*parts), self.source, saved)

    def _count(self, usage: Usage, step: _Step) -> int | Decimal | None:
        """Returns the units of this step in the usage; None where the value is not a count."""
        price = step.price
        if step.field is not None:
            n = getattr(usage, step.field)
        elif price.unit == "requests":
            return 1
        else:
            n = usage.units.get(price.unit)
            if n is None and price.unit == "audio_seconds":
                n = usage.units.get("input_audio_seconds", 0)
                n += usage.units.get("output_audio_seconds", 0)
        if not n:
            return 0
        if not 0 <= n <= MAX_UNITS:  # not true of NaN either
            return None
        if price.at_least and n < price.at_least:
            return price.at_least
        if price.at_most is not None and n > price.at_most:
            return price.at_most
        return n if isinstance(n, int) else Decimal(repr(n))

    def _why_unknown(self, usage: Usage) -> str | None:
        """Returns why the cost of this usage cannot be known; None where it can."""
        if not self.prices:
            return "its price is not known"
        units = usage.units
        measured = bool(units) and any(m in units for m in self._measures)
        if not measured:
            if not self._has_input and not self._has_request:
                return f"it is priced by {self._unit_names()}, of which nothing was counted"
            if self._has_input and usage.tokens_in is None:
                return "its input tokens were not counted"
        lacks_output = usage.tokens_out is None and self._needs_output
        if lacks_output and not (measured and usage.tokens_in is None):
            return "its output tokens were not counted"
        if self._request_sizes and not any(units.get(unit) for unit in self._request_sizes):
            return "the size of its search context was not counted"
        if units:
            for extra in _EXTRAS:
                if units.get(extra) and not self._prices_extra(extra):
                    return f"{extra} have no price"
        if usage.tokens_audio_in and not (self._prices_audio_in or measured):
            return "audio input has no price"
        if usage.tokens_audio_out and not self._prices_audio_out:
            return "audio output has no price"
        if usage.tokens_image_out and not self._prices_images_out:
            return "image output has no price"
        if usage.tokens_cache_write_1h and not self._prices_hour_cache:
            return "tokens cached for an hour have no price"
        for step in self._steps:
            for one, other in step.overlaps:
                both = getattr(usage, one) and getattr(usage, other)
                if both and units.get(step.price.unit) is None:
                    kind = other.split("_")[1]
                    return f"how many of the cached tokens are {kind} was not counted"
        return None

    def _prices_extra(self, unit: str) -> bool:
        return unit in self._units or (not self._is_strict and _PARTS.get(unit) in self._units)

    def _unit_names(self) -> str:
        return " and ".join(price.unit for price in self.prices)


def is_plausible_cost(usd: Decimal) -> bool:
    """Returns true if a number that a provider reports can be the cost of a call."""
    return usd.is_finite() and 0 <= usd < MAX_USD


def sum_costs(costs: Iterable[Cost]) -> Cost:
    """Adds up the shares of a call. The sum is unknown if one of them is."""
    total, parts, savings = ZERO, [ZERO] * 5, ZERO
    sources = []
    for cost in costs:
        if cost.total_usd is None or cost.parts is None:
            return cost
        total += cost.total_usd
        parts = [sum_ + part for sum_, part in zip(parts, cost.parts, strict=True)]
        savings += cost.cache_savings_usd or ZERO
        if cost.source not in sources:
            sources.append(cost.source)
    return Cost(total, CostParts(*parts), ", ".join(sources), savings)
