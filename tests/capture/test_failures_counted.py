"""A failure with the status 200 counts as one wherever failures are counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.spending import CENT, PRICING, response, settled

RAW = "Kontingent überschritten by tenant nine"
INNER = {"message": "Provider returned error", "metadata": {"raw": json.dumps({"error": RAW})}}
PAGE = [("content-type", "text/html")]
RIGHT = {**response(), "error": None, "status": "ok", "code": 0}


@pytest.fixture(scope="module")
def limited(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    env = PRICING | {"AGENTLEDGER_BUDGET_SESSION": "0.1"}
    with Ledger(tmp_path_factory.mktemp("failures"), _provider.url, env=env) as ledger:
        yield ledger


def ask(ledger: Ledger, provider: Provider, steps: list[canned.Step], session: str) -> str:
    provider.reset()
    provider.response(*steps)
    answer = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "penny", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]},
        headers={"x-agentledger-session-id": session, "x-agentledger-agent-name": "nine"},
        timeout=30,
    )
    assert answer.status_code == 200
    return str(answer.headers["x-agentledger-action-id"])


def test_failures_with_status_200_are_counted(limited: Ledger, provider: Provider) -> None:
    failed = [
        ask(limited, provider, canned.as_json({"error": INNER}), "s"),
        ask(limited, provider, canned.as_json({"status": 439, "msg": "expired"}), "s"),
        ask(limited, provider, canned.stream([b": wait\n\n"]), "s"),
        ask(limited, provider, canned.whole(b"<html>", headers=PAGE), "s"),
    ]
    right = ask(limited, provider, canned.as_json(RIGHT), "s")
    calls = {call["action_id"]: call for call in limited.calls("s", count=5)}
    assert [calls[id]["outcome"] for id in failed] == ["upstream_error"] * 4
    assert [calls[id]["cost_usd"] for id in failed] == [None] * 4
    assert [calls[id]["usage_source"] for id in failed] == ["none"] * 4
    assert (calls[right]["outcome"], calls[right]["error_detail"]) == ("completed", None)
    [session] = limited.sessions()
    assert (session["call_count"], session["error_count"]) == (5, 4)
    shown = limited.get("/dashboard/calls.json", params={"status": "error"}).json()
    assert {call["action_id"] for call in shown} == set(failed)
    analytics = limited.get("/api/analytics", params={"by": "agent"}).json()
    assert '"error_count": 4' in json.dumps(analytics)
    # They are errors and nothing else: no budget is charged for them.
    assert settled(limited, "budget_session", session_id="s")["used"] == CENT


def test_inner_reason_is_found_by_search(limited: Ledger, provider: Provider) -> None:
    id = ask(limited, provider, canned.as_json({"error": INNER}), "t")
    assert limited.explain(id)["error_detail"] == f"Provider returned error; {RAW}"

    def found() -> Any:
        query = {"q": '"überschritten by tenant"', "scope": "error", "session_id": "t"}
        return limited.get("/api/search", params=query).json()

    assert [hit["action_id"] for hit in wait_until(found)] == [id]
