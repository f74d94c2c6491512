from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count

from capture.models import Call
from capture.pricing import update as price_update
from capture.pricing.cost import UNKNOWN, UnitPrice, exact_usd
from capture.pricing.prices import Explanation
from capture.pricing.terms import BillingTerms
from capture.pricing.update import UpdateError

MAX_LINES = 100


class Command(BaseCommand):
    help = (
        "Show the prices of models, and why they apply; without a MODEL, list the models in the"
        " ledger that have no price. --update replaces the published prices by newer ones; nothing"
        " is fetched without it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL")
        parser.add_argument("--provider", help="the model's provider: openai, anthropic, groq …")
        parser.add_argument("--service-tier", help="flex, priority …")
        parser.add_argument(
            "--update",
            metavar="FILE|URL",
            help="use the published prices in this copy of genai-prices' data.json from now on;"
            " 'builtin' returns to those of the installed version",
        )

    def handle(
        self,
        *,
        models: list[str],
        provider: str | None,
        service_tier: str | None,
        update: str | None,
        **options: Any,
    ) -> None:
        if update is not None:
            self.update(update)
            if not models:
                return
        prices = settings.AGENTLEDGER.price_sources.read()
        if not models:
            self.list_unpriced_models()
        for model in models:
            terms = BillingTerms(model, provider=provider, service_tier=service_tier)
            found = prices.explain(terms)
            for line in explanation_lines(model, found):
                self.stdout.write(line)

    def update(self, source: str) -> None:
        try:
            data = price_update.update_prices(source, settings.AGENTLEDGER.price_sources.published)
        except UpdateError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Now using the prices of {data.source}: {data.n_models:,} models")

    def list_unpriced_models(self) -> None:
        calls = Call.objects.filter(price_source=UNKNOWN).exclude(usage_source="none")
        models = calls.values_list("provider", "model_id").annotate(n=Count("pk")).order_by("-n")
        for provider, model, n_calls in models[:MAX_LINES]:
            self.stdout.write(f"{n_calls:>10,} calls of {model or '(no model)'} ({provider})")
        if not models:
            self.stdout.write("All calls whose tokens are known have a price")


def explanation_lines(model: str, found: Explanation) -> list[str]:
    lines = [f"{model}: {found.why} ({found.source})"]
    lines += [f"  {price_line(price)}" for price in found.prices]
    return [*lines, f"  {found.comment}"] if found.comment else lines


def price_line(price: UnitPrice) -> str:
    tiers = (f", {exact_usd(usd)} above {above:,} input tokens" for above, usd in price.tiers[::-1])
    return f"{price.unit:<28} {exact_usd(price.usd)} USD per {price.per:,}{''.join(tiers)}"
