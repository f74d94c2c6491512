"""Measures `/api/analytics` and the report on a period over 30 days of a million calls.

    python -m benchmarks.analytics [postgresql://…] [--calls 1000000]

The rollups are filled as the recorder fills them, unless there are some; the calls themselves are
not stored. 50 agents use one to three of 20 models each, in three environments, for 5,000 users:
`benchmarks.storing`.
Each figure is the median of nine responses of the view, JSON included; a server adds a millisecond.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from benchmarks.storing import many_agents

DAYS, REPEATS, BATCH = 30, 9, 20_000
PRICE = Decimal("0.0042")
QUERIES = (
    "",
    "by=model",
    "by=agent",
    "by=agent&limit=50",
    "by=user",
    "by=user&limit=50",
    "by=environment",
    "by=model&agent_name=agent-7",
    "by=agent&environment=production",
    "by=provider&environment=production",
    "user_id=user-42",
    "interval=hour&by=model",
    "by=user&format=csv",
)

REPORTS = (
    "format=html",
    "format=html&agent_name=agent-7",
    "format=html&tz=America/New_York",
    "format=pdf",
    "format=csv",
)


def fill(n_calls: int) -> None:
    from django.db import transaction

    from capture.ledger.rollups import RollupKeyMemory, Rollups
    from capture.models import Ledger

    memory, random = RollupKeyMemory(), Random(1)
    begin = datetime.now(UTC) - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / n_calls
    for first in range(0, n_calls, BATCH):
        with transaction.atomic():
            ledger = Ledger.objects.select_for_update().get(pk=1)
            rollups = Rollups(ledger, memory)
            for number in range(first, min(first + BATCH, n_calls)):
                names = many_agents(number)
                latency_ms = random.lognormvariate(7.5, 0.8)
                row = {
                    **names,
                    "timestamp": begin + number * step,
                    "model_id": names["model"],
                    "provider": "openai" if number % 3 else "anthropic",
                    "outcome": "completed" if number % 50 else "upstream_error",
                    "wire_format": "openai_chat",
                    "tokens_in": 900,
                    "tokens_out": 300,
                    "tokens_cache_read": 500,
                    "tokens_cache_write": None,
                    "tokens_reasoning": None,
                    "cost_usd": None if number % 40 == 0 else PRICE,
                    "cache_savings_usd": None,
                    "latency_ms": latency_ms,
                    "ttft_ms": latency_ms / 5,
                }
                rollups.count(row, 1)
            rollups.write()
            ledger.save()
        memory.learn(rollups.learned)


def median_ms(query: str) -> tuple[float, int]:
    """Returns milliseconds, and the bytes of the response."""
    from django.db import connection
    from django.test import RequestFactory

    from reports.api.analytics import AnalyticsViewSet

    view, taken = AnalyticsViewSet.as_view({"get": "list"}), []
    for _ in range(REPEATS):
        request = RequestFactory().get(f"/api/analytics?{query}")
        begin = time.perf_counter()
        response = view(request).render()
        taken.append((time.perf_counter() - begin) * 1000)
        assert response.status_code == 200, response.content
    assert connection.connection is not None
    return statistics.median(taken), len(response.content)


def report_ms(query: str) -> tuple[float, int]:
    """Returns milliseconds, and the bytes of the report on the days until now."""
    from django.http import QueryDict

    from reports.export.period import read_report
    from reports.export.period_formats import FORMATS
    from reports.queries.period import PeriodParameters, reported_period

    parameters, taken, size = QueryDict(query, mutable=True), [], 0
    parameters["since"] = f"{datetime.now(UTC) - timedelta(days=DAYS):%Y-%m-%d}"
    for _ in range(REPEATS):
        begin = time.perf_counter()
        period = reported_period(PeriodParameters.parse(parameters))
        made = FORMATS[str(parameters["format"])]
        report = read_report(period, made.most_groups, with_audit=True)
        size = sum(map(len, made.write(report, None)))
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn", nargs="?")
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dsn = options.dsn or f"sqlite:///{Path(folder) / 'ledger.db'}"
        os.environ.update(AGENTLEDGER_DSN=dsn, DJANGO_SETTINGS_MODULE="agentledger_site.settings")
        import django
        from django.core.management import call_command

        django.setup()
        from capture.models import Rollup

        call_command("migrate", verbosity=0)
        if not Rollup.objects.exists():
            fill(options.calls)
        print(f"{Rollup.objects.count():,} rollups of {options.calls:,} calls\n")
        print("| Query | ms | Bytes |\n|---|---:|---:|")
        for query in QUERIES:
            ms, n_bytes = median_ms(query)
            print(f"| `{query}` | {ms:.0f} | {n_bytes:,} |")
        for query in REPORTS:
            ms, n_bytes = report_ms(query)
            print(f"| report: `{query}` | {ms:.0f} | {n_bytes:,} |")


if __name__ == "__main__":
    main()
