"""Our prices beside those of LiteLLM's map: `python -m benchmarks.litellm_prices MAP.json`.

The map is `model_prices_and_context_window_backup.json` of the PyPI package litellm. For every
model that both know under its provider: input, output, cache read and cache write. What differs is
counted by the causes that docs/pricing.md explains; what has none of them is printed, one price a
line, and with `--all` everything that differs.
"""

from __future__ import annotations

import argparse
import json
import re
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
CACHE = {"cache_read_tokens", "cache_write_tokens"}

# Why a price differs, by the beginning of our provider and LiteLLM's name; the first that matches
# counts. `cache only` holds for any other model of which nothing else differs.
CAUSES = (
    ("Azure by zone", r"azure azure/(?:eu|us|us-gov|apac)/"),
    ("Azure: a deployment in a region", r"azure azure/(?:ada|gpt-4-turbo|text-embedding)"),
    ("Bedrock by region", r"aws (?:bedrock/[a-z]+-[a-z-]+-\d|us-gov\.)"),
    ("Bedrock: Claude 3.7 under a wrong date", r"aws anthropic\.claude-3-7-sonnet-20240620"),
    (
        "Bedrock without a region",
        r"aws (?:bedrock/claude_platform/|anthropic\.|claude-|openai\.gpt-6)",
    ),
    ("Bedrock in Europe and Asia", r"aws (?:eu|jp|apac)\.(?:amazon|meta)\."),
    ("Bedrock: another's price", r"aws openai\.gpt-oss-safeguard"),
    ("DeepInfra", r"deepinfra "),
    ("DeepSeek by the time of day", r"deepseek (?:deepseek/)?deepseek-(?:flash|v4)"),
    ("DeepSeek: names no longer served", r"deepseek (?:deepseek/)?deepseek-(?:chat|reasoner|v3)"),
    ("images", r"\w+ (?:azure/)?gpt-image-"),
    ("speech", r"\w+ (?:azure/)?gpt-4o-mini-tts"),
    ("Google's price until November", r"\w+ (?:gemini|perplexity/google)/gemini-4-argon"),
    ("Perplexity: not on our list", r"perplexity perplexity/(?:perplexity|openai|google)/"),
    ("Perplexity: two models of one name", r"perplexity perplexity/sonar$"),
    ("Perplexity: withdrawn", r"perplexity perplexity/mixtral"),
    ("Fireworks: by size", r"fireworks .*/(?:llama-v3p1-8b-instruct|deepseek-v4-pro)$"),
    ("Mistral: launch price", r"(?:mistral|azure) \w+/(?:open-mistral-nemo|mistral-large-latest)"),
)
CACHE_ONLY = "cache only"


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


def cause_of(differences: list[Difference]) -> str | None:
    what = f"{differences[0].provider} {differences[0].model}"
    found = next((cause for cause, names in CAUSES if re.match(names, what)), None)
    return found or (CACHE_ONLY if {d.unit for d in differences} <= CACHE else None)


def main(path: str, *, shows_all: bool) -> None:
    compared_models = list(compare(json.loads(Path(path).read_text())))
    known = [found for _, found in compared_models if found is not None]
    different = [found for found in known if found]
    same = len(known) - len(different)
    print(f"{len(compared_models):,} models, {len(known):,} known to both, {same:,} the same")
    causes = Counter(cause_of(found) for found in different)
    for cause, n in causes.most_common():
        print(f"{n:>5} {cause or 'UNEXPLAINED'}")
    for found in different:
        for d in found if shows_all or cause_of(found) is None else []:
            of = "" if d.ours_is_of == d.model.rpartition("/")[2] else f" (as {d.ours_is_of})"
            prices = f"{price_text(d.ours)}, {price_text(d.theirs)}"
            print(f"{d.provider:<11} {d.model}{of} {d.unit}: {prices}")


def price_text(usd: Decimal | None) -> str:
    return "none" if usd is None else f"{usd.normalize():f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", metavar="MAP.json")
    parser.add_argument("--all", action="store_true", help="print each price that differs")
    arguments = parser.parse_args()
    main(arguments.map, shows_all=arguments.all)
