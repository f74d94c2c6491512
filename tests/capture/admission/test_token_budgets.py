"""The daily budget of an ingest token holds as every budget does: at once, on the record, after a
restart, in several processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anthropic
import pytest

from tests.conftest import STACKS, create_database
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer
from tests.support.spending import ALL_AT_ONCE_S, CENT, PRICING, at_once, call, program, settled

NAME = "budget_token"


@pytest.fixture(params=STACKS)
def open_to_all(
    request: pytest.FixtureRequest, provider: Provider, tmp_path: Path
) -> Iterator[Ledger]:
    """No budget, no limit and no key are configured. Not yet started."""
    server, database = request.param.split("-")
    env = dict(PRICING)
    if database == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    ledger = Ledger(tmp_path, provider.url, server=server, env=env)
    yield ledger
    if ledger.process is not None and ledger.process.poll() is None:
        ledger.stop()


def token(ledger: Ledger, name: str, budget: str | None = "0.1") -> str:
    """A new token's secret, once every proxy knows it."""
    limited = () if budget is None else ("--daily-budget", budget)
    made = ledger.command("token", "create", name, "--role", "ingest", *limited)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def known(ledger: Ledger, name: str) -> None:
    wait_until(lambda: ledger.get("/api/limits", params={"ingest_token": name}).json())


def test_of_a_hundred_calls_at_once_ten_pass(open_to_all: Ledger, provider: Provider) -> None:
    program(provider, after_s=ALL_AT_ONCE_S)
    with open_to_all as ledger:
        wait_until(lambda: ledger.get("/api/sessions").status_code == 200)
        secret = token(ledger, "crawler")
        known(ledger, "crawler")
        assert at_once(100, ledger, ingest_key=secret) == {"passed": 10, "budget_reserved": 90}
        assert provider.counts()["received"] == 10
        found = settled(ledger, NAME, ingest_token="crawler")
        assert (found["key"], found["used"], found["limit"]) == ("crawler", 10 * CENT, 10 * CENT)
        assert found["resets_at"].endswith("T00:00:00+00:00")
        assert at_once(20, ledger, ingest_key=secret) == {"budget_exceeded": 20}
        program(provider)
        assert call(ledger) == "passed"  # the door is open, and who shows nothing has no budget
        free = token(ledger, "free", None)
        wait_until(lambda: call(ledger, ingest_key=free) == "passed")
        assert ledger.get("/api/limits").json() == []


def test_a_refused_call_gets_an_error_in_its_format_and_is_recorded(
    open_to_all: Ledger, provider: Provider
) -> None:
    program(provider, tokens_out=100)
    with open_to_all as ledger:
        wait_until(lambda: ledger.get("/api/sessions").status_code == 200)
        secret = token(ledger, "crawler")
        known(ledger, "crawler")
        assert call(ledger, ingest_key=secret, session_id="s") == "passed"
        settled(ledger, NAME, ingest_token="crawler")
        headers = {
            "x-agentledger-ingest-key": secret,
            "x-agentledger-session-id": "s",
            "x-agentledger-ingest-token": "another",  # an agent cannot name one
        }
        asking = anthropic.Anthropic(
            base_url=ledger.url, api_key="k", default_headers=headers, max_retries=0
        )
        with asking, pytest.raises(anthropic.RateLimitError) as raised:
            asking.messages.create(
                model="penny", max_tokens=10, messages=[{"role": "user", "content": "hello"}]
            )
        assert "The token budget of crawler is spent: 0.1 of 0.1 USD" in str(raised.value)
        refused = ledger.calls("s", count=2)[1]
        assert (refused["outcome"], refused["status_code"]) == ("refused", 429)
        facts = {"code": "budget_exceeded", "budget": "token", "key": "crawler"}
        assert facts.items() <= refused["refusal"].items()
        assert secret not in json.dumps(refused)


def test_the_spending_of_a_token_outlives_its_process(
    open_to_all: Ledger, provider: Provider
) -> None:
    program(provider)
    with open_to_all as ledger:
        wait_until(lambda: ledger.get("/api/sessions").status_code == 200)
        secret = token(ledger, "crawler")
        known(ledger, "crawler")
        assert at_once(4, ledger, ingest_key=secret) == {"passed": 4}
        recorder = ledger.recorder()
        recorder.suspend()  # the last calls are in the spool alone
        assert at_once(3, ledger, ingest_key=secret) == {"passed": 3}
        ledger.kill()
        recorder.kill()
    with open_to_all as ledger:
        assert settled(ledger, NAME, ingest_token="crawler")["used"] == 7 * CENT
        assert at_once(30, ledger, ingest_key=secret)["passed"] == 3
        # A token of the same name goes on where the revoked one was.
        assert ledger.command("token", "revoke", "crawler").returncode == 0
        again = token(ledger, "crawler")
        wait_until(lambda: call(ledger, ingest_key=again) == "budget_exceeded")


def test_processes_share_a_tokens_budget_through_redis(
    provider: Provider, postgresql: str, tmp_path: Path
) -> None:
    program(provider, after_s=ALL_AT_ONCE_S)
    with RedisServer() as redis, ExitStack() as stack:
        env = PRICING | {
            "AGENTLEDGER_DSN": create_database(postgresql),
            "AGENTLEDGER_REDIS_URL": redis.url,
        }
        ledgers = []
        for name in "ab":
            (tmp_path / name).mkdir()
            ledgers.append(stack.enter_context(Ledger(tmp_path / name, provider.url, env=env)))
        secret = token(ledgers[0], "crawler")
        for ledger in ledgers:
            known(ledger, "crawler")
        outcome = at_once(100, *ledgers, ingest_key=secret)
        assert outcome == {"passed": 10, "budget_reserved": 90}
        assert settled(ledgers[1], NAME, ingest_token="crawler")["used"] == 10 * CENT
        assert at_once(10, *ledgers, ingest_key=secret) == {"budget_exceeded": 10}
