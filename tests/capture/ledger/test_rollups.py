"""Rollups: how many names an hour and a day tell apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import create_database
from tests.support.ledger import PROJECT

# Its own process: the project's settings are read once.
PROGRAM = """
import json, sys
import django; django.setup()
from django.core.management import call_command
from django.db import connection, transaction
call_command("migrate", verbosity=0)

from benchmarks.storing import entry
from capture.ledger import rollups, store
from capture.models import Ledger, Rollup, RollupKey
from capture.pricing.prices import Prices
from reports.queries.rollups import Period, summary, total_of
from capture.ledger.rollup_sums import hour_of

rollups.MOST_KEYS = 5
prices, memory = Prices(), store.LedgerMemory()
now = 0
for batch in range(4):
    entries = []
    for number in range(3):
        n = batch * 3 + number
        names = {"model": f"m-{n}", "agent_name": "a", "user_id": f"u-{n}"}
        entries.append(entry(n, names, prices))
    now = entries[-1].call.timestamp
    if batch % 2:
        memory = store.LedgerMemory()  # as after a new start
    store.record(entries, {"segment": batch}, memory)
hour = hour_of(now)
for by_day in (False, True):
    period = Period(hour - 25, hour + 1, by_day, True)
    for by in ("model_id", "agent_name", "user_id"):
        found = summary(period, by, {}, 100)
        print(json.dumps([
            by, len(found.groups), total_of(found.total).counts[0], total_of(found.rest).counts[0],
        ]))
print(json.dumps(RollupKey.objects.filter(is_other=True).count()))
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_names_beyond_the_bound_are_summed_up_as_other(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dsn = f"sqlite:///{tmp_path}/ledger.db"
    if database == "postgresql":
        dsn = create_database(request.getfixturevalue("postgresql"))
    settings = {"AGENTLEDGER_DSN": dsn, "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    *figures, n_other = (json.loads(line) for line in done.stdout.splitlines())
    one_span = [["model_id", 5, 12, 7], ["agent_name", 1, 12, 0], ["user_id", 5, 12, 7]]
    assert figures == one_span * 2
    assert n_other == 3  # of combinations, of models and of users
