"""The API as OpenAPI 3.1, the page that shows it, and responses to whatever the schema allows."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.conftest import create_database
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

N_FUZZED = 10  # of each operation, beside some 1200 requests that cover what its schema says


@pytest.fixture(scope="module")
def schema(ledger: Ledger) -> dict[str, Any]:
    described: dict[str, Any] = ledger.get("/api/schema").raise_for_status().json()
    return described


def test_the_schema_describes_every_endpoint_of_the_api(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    methods = {path: set(item) - {"parameters"} for path, item in schema["paths"].items()}
    assert methods == {
        "/": {"get"},
        "/api/": {"get"},
        "/api/analytics": {"get"},
        "/api/audit": {"get"},
        "/api/checkpoints": {"get"},
        "/api/checkpoints/latest": {"get"},
        "/api/log/key": {"get"},
        "/api/search": {"get"},
        "/api/calls/{action_id}": {"delete"},
        "/api/export": {"get"},
        "/api/limits": {"get"},
        "/api/sessions": {"get"},
        "/api/sessions/{session_id}": {"get", "patch", "delete"},
        "/api/stops": {"get", "post"},
        "/api/stops/{stop_id}": {"delete"},
        "/explain/{action_id}": {"get"},
        "/export/{session_id}": {"get"},
        "/export/period": {"get"},
        "/session/{session_id}": {"get"},
    }


def test_the_parameters_are_those_that_are_accepted(ledger: Ledger, schema: dict[str, Any]) -> None:
    described = schema["paths"]["/api/sessions"]["get"]["parameters"]
    names = {parameter["name"] for parameter in described if parameter["in"] == "query"}
    [refused] = ledger.get("/api/sessions?nothing=1").json()["nothing"]
    assert names == set(refused.split("known: ")[1].split(", "))


def test_a_calls_fields_are_described(
    ledger: Ledger, provider: Provider, schema: dict[str, Any]
) -> None:
    ledger.post("described")
    given = ledger.explain(ledger.call("described")["action_id"])
    described = schema["components"]["schemas"]["ExplainedCall"]["properties"]
    assert list(described) == list(given)


def test_the_schema_is_made_without_a_warning(ledger: Ledger, schema: dict[str, Any]) -> None:
    assert "Warning" not in ledger.log.read_text()
    assert "unable to guess" not in ledger.log.read_text()


def test_the_page_needs_no_other_host(ledger: Ledger) -> None:
    page = ledger.get("/api/schema/view").raise_for_status().text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) >= 4
    for link in links:
        assert link.startswith("/"), link
        assert ledger.get(link.replace("&amp;", "&")).status_code == 200
    assert page.count("<script") == len(re.findall(r"<script src=[^>]*></script>", page))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_request_that_the_schema_allows_is_a_server_error(
    database: str, request: pytest.FixtureRequest, fresh: Ledger, provider: Provider
) -> None:
    if database == "postgresql":
        fresh.env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with fresh:
        for number in range(5):
            fresh.post(f"run-{number}", content="x" * number)
        wait_until(lambda: fresh.n_recorded() == 5)
        fuzzed = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{fresh.url}/api/schema"),
                *("--checks", "not_a_server_error", "--max-examples", str(N_FUZZED)),
                *("--phases", "examples,coverage,fuzzing", "--seed", "1", "--no-color"),
                *("--warnings", "off", "--request-timeout", "20"),
            ],
            cwd=fresh.folder,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert fuzzed.returncode == 0, fuzzed.stdout[-5000:] + fuzzed.stderr[-2000:]
        assert httpx.get(f"{fresh.url}/health").status_code == 200
