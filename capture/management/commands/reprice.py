from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from capture.operations.reprice import (
    apply_changes,
    calls_to_reprice,
    cost_difference,
    find_changes,
)


class Command(BaseCommand):
    help = (
        "Reprice recorded calls after a price was corrected. The previous cost of each call is"
        " kept as a price correction. Running it again changes nothing more."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", help="only calls made at or after this date or time (UTC)")
        parser.add_argument(
            "--model", help="only calls that requested this model, or got a response from it"
        )
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")

    def handle(
        self, *, since: str | None, model: str | None, dry_run: bool, **options: Any
    ) -> None:
        calls = calls_to_reprice(since=parse_since(since), model=model)
        total = calls.count()
        n_seen = n_changed = 0
        more = Decimal(0)
        for n_priced, page in find_changes(calls, settings.AGENTLEDGER.price_sources.read()):
            n_seen += n_priced
            n_changed += len(page)
            more += cost_difference(page)
            if page and not dry_run:
                apply_changes(page)
            if n_seen % 10_000 < n_priced:
                self.stderr.write(f"{n_seen:,} of {total:,} calls")
        verb = "would be" if dry_run else "were"
        self.stdout.write(
            f"{n_changed:,} of {n_seen:,} calls {verb} repriced, {more:+f} USD in total"
        )


def parse_since(text: str | None) -> datetime | None:
    """Returns the time that `text` names, in UTC unless it has an offset. Raises CommandError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--since {text!r} is not a date or time, such as 2026-11-01 or 2026-11-01T12:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
