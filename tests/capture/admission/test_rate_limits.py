"""Rate limits hold in any 60 seconds, however many calls come at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest

from tests.support.ledger import CALL, Ledger, ServerName
from tests.support.provider import Provider
from tests.support.spending import HELLO, at_once, call, standing

SERVERS: tuple[ServerName, ...] = ("daphne", "uvicorn")
HEADERS = {"session": "session_id", "agent": "agent_name", "user": "user_id"}


@pytest.fixture(scope="module", params=SERVERS)
def slow(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """Ten calls a minute for each session, agent and user; no prices, no budgets."""
    env = {f"AGENTLEDGER_RATE_LIMIT_{of.upper()}_RPM": "10" for of in HEADERS}
    folder = tmp_path_factory.mktemp(request.param)
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


@pytest.mark.parametrize("whose", HEADERS)
def test_of_a_hundred_calls_at_once_ten_pass(slow: Ledger, provider: Provider, whose: str) -> None:
    key = {HEADERS[whose]: str(uuid4())}
    assert at_once(100, slow, **key) == {"passed": 10, "rate_limited": 90}
    assert provider.counts()["received"] == 10
    found = standing(slow, f"rate_limit_{whose}_rpm", **key)
    assert (found["used"], found["left"], found["limit"]) == (10, 0, 10)
    assert found["resets_at"] is not None


@pytest.mark.parametrize("server", SERVERS)
def test_the_limit_of_all_calls(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, server: ServerName
) -> None:
    env = {"AGENTLEDGER_RATE_LIMIT_RPM": "10"}
    with Ledger(tmp_path_factory.mktemp("l"), provider.url, server=server, env=env) as ledger:
        assert at_once(100, ledger) == {"passed": 10, "rate_limited": 90}
        assert standing(ledger, "rate_limit_rpm")["left"] == 0
    assert provider.counts()["received"] == 10


def test_a_call_that_one_limit_refuses_does_not_count_against_others(slow: Ledger) -> None:
    session, agent = str(uuid4()), str(uuid4())
    assert at_once(10, slow, session_id=session) == {"passed": 10}
    both = {"session_id": session, "agent_name": agent}
    assert at_once(20, slow, **both) == {"rate_limited": 20}
    assert standing(slow, "rate_limit_agent_rpm", agent_name=agent)["used"] == 0


def test_a_refusal_says_when_the_next_call_passes(slow: Ledger, provider: Provider) -> None:
    session = str(uuid4())
    headers = {"x-agentledger-session-id": session}
    url = f"{slow.url}/v1/chat/completions"
    began = time.monotonic()
    for _ in range(10):
        assert httpx.post(url, json=CALL, headers=headers).status_code == 200
    response = httpx.post(url, json=CALL, headers=headers)
    took = time.monotonic() - began
    assert response.status_code == 429
    wait_ms = int(response.headers["retry-after-ms"])
    assert (60 - took) * 1000 - 1 <= wait_ms <= 60_000
    assert int(response.headers["retry-after"]) == -(-wait_ms // 1000)
    assert "x-should-retry" not in response.headers
    error = response.json()["error"]
    assert error["code"] == "rate_limited"
    assert f"The rate limit of session {session} of 10 requests in 60 seconds" in error["message"]
    refused = slow.calls(session, count=11)[-1]
    assert (refused["outcome"], refused["cost_usd"]) == ("refused", 0)
    assert refused["refusal"]["rate_limit"] == "session"


def test_the_official_sdks_show_the_refusal(slow: Ledger, provider: Provider) -> None:
    session = str(uuid4())
    headers = {"x-agentledger-session-id": session}
    assert at_once(10, slow, session_id=session) == {"passed": 10}
    asking = openai.OpenAI(
        base_url=f"{slow.url}/v1", api_key="k", default_headers=headers, max_retries=0
    )
    with asking, pytest.raises(openai.RateLimitError, match="The rate limit of session"):
        asking.chat.completions.create(model="m", messages=HELLO)
    claude = anthropic.Anthropic(
        base_url=slow.url, api_key="k", default_headers=headers, max_retries=0
    )
    with claude, pytest.raises(anthropic.RateLimitError, match="The rate limit of session"):
        claude.messages.create(model="m", max_tokens=9, messages=HELLO)
    assert provider.counts()["received"] == 10


def test_without_limits_nothing_is_listed(ledger: Ledger) -> None:
    assert ledger.get("/api/limits").json() == []
    assert call(ledger, session_id="free") == "passed"
