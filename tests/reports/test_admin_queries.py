"""What the lists of the admin ask of the database: as much with many rows as with few, and nothing
that reads all calls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.access.test_admin_login import Browser
from tests.conftest import create_database
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

LISTS = (
    "/admin/capture/session/",
    "/admin/capture/call/",
    f"/admin/capture/call/?outcome=completed&timestamp__year={datetime.now(UTC).year}",
    "/admin/capture/stop/",
    "/admin/access/token/",
    "/admin/access/auditentry/",
)
FEW, MANY = 3, 60

# As the local operator: each list's queries, and how many rows it shows.
ASK = """
import json, sys, django
django.setup()
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
client = Client(HTTP_HOST="localhost", REMOTE_ADDR="127.0.0.1")
client.get("/admin/")  # makes its user
found = []
for path in sys.argv[1:]:
    with CaptureQueriesContext(connection) as queries:
        response = client.get(path)
    assert response.status_code == 200, path
    rows = response.context_data["cl"].result_count
    found.append([rows, [query["sql"] for query in queries.captured_queries]])
print(json.dumps(found))
"""

MAKE = """
import sys, django
django.setup()
from access import tokens
from access.actors import command_line_operator
from access.roles import Role
from capture.operations.stops import stop
actor = command_line_operator()
for n in range(*map(int, sys.argv[1:])):
    tokens.create(actor, f"token-{n}", Role.VIEWER)
    stop(actor, "session", f"stopped-{n}", reason="a test")
"""


def in_django(ledger: Ledger, program: str, *arguments: str) -> str:
    env = {**ledger.environment(), "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"}
    # Django's client makes no connection whose user could be asked for.
    env["AGENTLEDGER_TRUSTED_NETWORKS"] = "127.0.0.1"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ledger.folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def read(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    env = {}
    if request.param == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path_factory.mktemp(request.param), _provider.url, env=env) as ledger:
        yield ledger


def fill(ledger: Ledger, first: int, last: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ledger.post(f"run-{n}"), range(first, last)))
    in_django(ledger, MAKE, str(first), str(last))
    wait_until(lambda: ledger.n_recorded() == last)


def count_queries(ledger: Ledger) -> dict[str, tuple[int, list[str]]]:
    responses = json.loads(in_django(ledger, ASK, *LISTS))
    return {path: (n, queries) for path, (n, queries) in zip(LISTS, responses, strict=True)}


def test_a_list_makes_as_many_queries_for_many_rows_as_for_few(read: Ledger) -> None:
    fill(read, 0, FEW)
    few = count_queries(read)
    fill(read, FEW, MANY)
    many = count_queries(read)
    for path in LISTS:
        (n_few, few_queries), (n_many, many_queries) = few[path], many[path]
        assert n_few >= FEW and n_many >= MANY, path
        assert 0 < len(few_queries) == len(many_queries), (path, many_queries)
        for query in many_queries:
            assert is_bounded(query), query


def is_bounded(query: str) -> bool:
    """It does not read each call or session there is."""
    if not re.search(r'FROM "capture_(?:call|session)"', query):
        return True
    return "LIMIT" in query and "DISTINCT" not in query


def test_dates_lead_from_months_to_days_to_calls(read: Ledger) -> None:
    read.post("dated")
    day = read.call("dated")["timestamp"][:10]
    year, month, number = (str(int(part)) for part in day.split("-"))
    narrowed = {"timestamp__year": year, "timestamp__month": month, "timestamp__day": number}
    with Browser(read) as browser:
        # All calls are of one month: its days are offered at once.
        offered = browser.get("/admin/capture/call/").text
        assert f"timestamp__day={number}&amp;timestamp__month={month}" in offered
        of_day = browser.get("/admin/capture/call/", params=narrowed).text
        assert ">dated<" in of_day
        assert f"timestamp__month={month}&amp;timestamp__year={year}" in of_day
        of_year = browser.get("/admin/capture/call/", params={"timestamp__year": year}).text
        assert f"timestamp__month={month}" in of_year and "All dates" in of_year
        before = {**narrowed, "timestamp__year": "2020"}
        assert ">dated<" not in browser.get("/admin/capture/call/", params=before).text


def test_the_dates_of_calls_are_found_by_an_index(fresh: Ledger) -> None:
    """As SQLite's planner answers: no query of the list scans the table of calls."""
    with fresh:
        fill(fresh, 0, FEW)
        _, queries = count_queries(fresh)["/admin/capture/call/"]
        of_calls = [query for query in queries if 'FROM "capture_call"' in query]
        plans = json.loads(in_django(fresh, PLANS, json.dumps(of_calls)))
    first_and_last = [
        plan for query, plan in zip(of_calls, plans, strict=True) if "ORDER BY 1" in query
    ]
    assert len(first_and_last) == 2
    for plan in first_and_last:
        assert "SCAN capture_call USING" in plan and "call_newest_first" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


PLANS = """
import json, sys, django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    plans = []
    for query in json.loads(sys.argv[1]):
        cursor.execute("EXPLAIN QUERY PLAN " + query)
        plans.append("; ".join(row[3] for row in cursor.fetchall()))
print(json.dumps(plans))
"""
