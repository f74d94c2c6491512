"""Our prices beside those of LiteLLM's map: `python -m benchmarks.litellm_prices MAP.json`.

The map is `model_prices_and_context_window_backup.json` of the PyPI package litellm. For every
model that both know under its provider: input, output, cache read and cache write. What differs is
printed, one price a line; docs/pricing.md explains it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from capture.pricing.prices import Prices
from capture.pricing.terms import BillingTerms

# LiteLLM's names of providers, and ours. Those that are not here sell under prices of their own.
PROVIDERS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex_ai-language-models": "google",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "groq": "groq",
    "moonshot": "moonshotai",
    "perplexity": "perplexity",
    "openrouter": "openrouter",
    "fireworks_ai": "fireworks",
    "together_ai": "together",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "azure": "azure",
    "voyage": "voyageai",
    "cerebras": "cerebras",
    "deepinfra": "deepinfra",
    "zai": "zai",
    "minimax": "minimax",
}
KINDS = {
    "input_tokens": "input_cost_per_token",
    "output_tokens": "output_cost_per_token",
    "cache_read_tokens": "cache_read_input_token_cost",
    "cache_write_tokens": "cache_creation_input_token_cost",
}
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    provider: str
    model: str
    ours_is_of: str  # what the model is called in our data
    unit: str
    ours: Decimal | None
    theirs: Decimal | None


def compare(theirs: dict[str, dict[str, Any]]) -> Iterator[tuple[str, list[Difference] | None]]:
    """Each model of the map under a provider that we know, with what differs; None where we have
    no price for it."""
    prices = Prices()
    now = datetime.now(UTC)
    for name, entry in theirs.items():
        provider = PROVIDERS.get(entry.get("litellm_provider", ""))
        if provider is None or "input_cost_per_token" not in entry:
            continue
        found = prices.explain(BillingTerms(name, provider=provider), at=now)
        if found.source == "unknown" or found.model is None:
            yield provider, None
            continue
        ours = {price.unit: price.usd * MILLION / price.per for price in found.prices}
        differences = []
        for unit, key in KINDS.items():
            usd = entry.get(key)
            their_usd = None if usd is None else Decimal(repr(usd)) * MILLION
            if (their_usd or 0) != (ours.get(unit) or 0):
                differences.append(
                    Difference(provider, name, found.model, unit, ours.get(unit), their_usd)
                )
        yield provider, differences


def main(path: str) -> None:
    compared_models = list(compare(json.loads(Path(path).read_text())))
    known = [(provider, found) for provider, found in compared_models if found is not None]
    same = sum(not found for _, found in known)
    print(f"{len(compared_models):,} models, {len(known):,} known to both, {same:,} the same")
    by_provider = Counter(provider for provider, found in known if found)
    print(", ".join(f"{provider} {n}" for provider, n in by_provider.most_common()))
    for _, found in known:
        for d in found:
            of = "" if d.ours_is_of == d.model.rpartition("/")[2] else f" (as {d.ours_is_of})"
            prices = f"{price_text(d.ours)}, {price_text(d.theirs)}"
            print(f"{d.provider:<11} {d.model}{of} {d.unit}: {prices}")


def price_text(usd: Decimal | None) -> str:
    return "none" if usd is None else f"{usd.normalize():f}"


if __name__ == "__main__":
    main(sys.argv[1])
