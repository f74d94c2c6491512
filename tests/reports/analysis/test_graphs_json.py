"""What Flow and Trace draw, as their pages get it from each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import create_database
from tests.reports.dashboard.sessions import ask, recorded
from tests.support.canned import as_json
from tests.support.ledger import Ledger
from tests.support.provider import Provider


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def team(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """A writer, told by an orchestrator that calls again when the writer has failed."""
    _provider.reset()
    env = {}
    if request.param == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path_factory.mktemp(request.param), _provider.url, env=env) as ledger:
        first = ask(ledger, "run", "orchestrator", handoff_to="writer")
        _provider.response(*as_json({"error": {"message": "Oh no"}}, 500), times=1)
        ask(ledger, "run", "writer", parent_action_id=first)
        ask(ledger, "run", "orchestrator")
        recorded(ledger, "run", 3)
        yield ledger


def test_flow(team: Ledger) -> None:
    graph = team.get("/dashboard/flow.json?session=run").raise_for_status().json()["agents"]
    nodes = [(node["agent"], node["calls"], node["errors"]) for node in graph["nodes"]]
    assert nodes == [("orchestrator", 2, 0), ("writer", 1, 1)]
    assert graph["edges"] == [[0, 1, 1, "header"]]
    assert graph["nodes"][0]["cost"] > 0 and graph["nodes"][1]["cost"] is None


def test_trace(team: Ledger) -> None:
    data = team.get("/dashboard/trace.json?session=run").raise_for_status().json()
    calls = data["calls"]
    assert [data["names"][name] for name in calls["name"]] == [
        "orchestrator",
        "writer",
        "orchestrator",
    ]
    assert calls["parent"] == [-1, 0, -1] and calls["status"] == [200, 500, 200]
    ids = [call["action_id"].replace("-", "") for call in team.calls("run", count=3)]
    assert calls["ids"] == "".join(ids)
    assert data["rows"]["above"] == [0] and data["rows"]["sums"]["errors"] == [1]


def test_it_is_sent_again_only_when_it_changed(team: Ledger) -> None:
    for path in ("/dashboard/flow.json?session=run", "/dashboard/trace.json?session=run"):
        first = team.get(path)
        again = team.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
