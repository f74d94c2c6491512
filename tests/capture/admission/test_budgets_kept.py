"""What was spent is known after a restart and after kill -9, to several processes, and on the day
that it belongs to."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import STACKS, create_database
from tests.support import canned
from tests.support.ledger import PROJECT, Ledger, wait_until
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer
from tests.support.spending import (
    ALL_AT_ONCE_S,
    CENT,
    PRICING,
    at_once,
    call,
    client,
    one,
    program,
    settled,
    standing,
)

DIME = PRICING | {"AGENTLEDGER_BUDGET_SESSION": "0.1", "AGENTLEDGER_BUDGET_DAILY": "0.3"}


@pytest.fixture(params=STACKS)
def kept(request: pytest.FixtureRequest, _provider: Provider, tmp_path: Path) -> Iterator[Ledger]:
    """On each server, over one of the databases, not yet started."""
    server, database = request.param.split("-")
    env = dict(DIME)
    if database == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    ledger = Ledger(tmp_path, _provider.url, server=server, env=env)
    yield ledger
    if ledger.process is not None and ledger.process.poll() is None:
        ledger.stop()


@contextmanager
def running(provider: Provider, n: int, ledger: Ledger, **headers: str) -> Iterator[None]:
    """While `n` calls wait for the provider's response."""
    received = provider.counts()["received"]

    async def whole() -> None:
        async with client(ledger, **headers) as asking:
            await asyncio.gather(*[one(asking) for _ in range(n)], return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(whole()))
    thread.start()
    wait_until(lambda: provider.counts()["received"] == received + n)
    yield
    thread.join()


def used(ledger: Ledger, name: str = "budget_session", **keys: str) -> Any:
    return settled(ledger, name, **keys)["used"]


def test_sums_survive_a_restart(kept: Ledger, provider: Provider) -> None:
    program(provider, after_s=0.05)
    with kept:
        assert at_once(4, kept, session_id="s") == {"passed": 4}
    program(provider)
    with kept:
        assert used(kept, session_id="s") == 4 * CENT
        assert used(kept, "budget_daily") == 4 * CENT
        assert at_once(30, kept, session_id="s")["passed"] == 6
        assert used(kept, session_id="s") == 10 * CENT
        assert used(kept, session_id="other") == 0


def test_sums_survive_a_killed_process(kept: Ledger, provider: Provider) -> None:
    """Three calls are complete and two run; the recorder had no time for any of them."""
    kept.start()
    kept.recorder().send_signal(signal.SIGSTOP)
    stopped = kept.recorder()
    program(provider)
    provider.reset()
    provider.response(*canned.as_json({"error": {"message": "x", "code": "bad"}}, 400), times=1)
    assert call(kept, session_id="s") == "bad"
    program(provider)
    assert [call(kept, session_id="s") for _ in range(3)] == ["passed"] * 3
    provider.reset()
    provider.response(canned.HANG)
    with running(provider, 2, kept, session_id="s"):
        assert standing(kept, "budget_session", session_id="s")["reserved"] == 2 * CENT
        kept.kill()
    stopped.kill()
    wait_until(lambda: not stopped.is_running())
    provider.reset()
    program(provider, after_s=ALL_AT_ONCE_S)
    kept.start()
    # The two count with what they were expected to cost: who knows what the provider did.
    assert used(kept, session_id="s") == 5 * CENT
    assert at_once(50, kept, session_id="s") == {"passed": 5, "budget_reserved": 45}
    assert used(kept, session_id="s") == 10 * CENT
    kept.stop()
    kept.start()
    assert used(kept, session_id="s") == 10 * CENT
    assert used(kept, "budget_daily") == 10 * CENT


def test_a_recorder_that_is_behind_changes_nothing(fresh: Ledger, provider: Provider) -> None:
    """Started again while the recorder goes on with what the last process left."""
    fresh.env = dict(DIME)
    fresh.start()
    recorder = fresh.recorder()
    recorder.send_signal(signal.SIGSTOP)
    program(provider)
    assert [call(fresh, session_id=f"s{n}") for n in range(5)] == ["passed"] * 5
    fresh.kill()
    recorder.send_signal(signal.SIGCONT)
    fresh.start()
    for n in range(5):
        assert used(fresh, session_id=f"s{n}") == CENT
    assert used(fresh, "budget_daily") == 5 * CENT
    fresh.stop()


def test_daily_budgets_reset_at_midnight(fresh: Ledger, provider: Provider, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    fresh.env = {
        **PRICING,
        "AGENTLEDGER_BUDGET_SESSION": "1",
        "AGENTLEDGER_BUDGET_AGENT": "0.05",
        "PYTHONPATH": f"{PROJECT / 'tests' / 'support' / 'clock'}:{PROJECT}",
        "TEST_CLOCK": str(clock),
    }
    program(provider)
    keys = {"session_id": "s", "agent_name": "a"}
    with fresh:
        assert [call(fresh, **keys) for _ in range(6)] == ["passed"] * 5 + ["budget_exceeded"]
        today = settled(fresh, "budget_agent", **keys)
        clock.write_text("86400")
        tomorrow = settled(fresh, "budget_agent", **keys)
        assert (today["used"], tomorrow["used"]) == (5 * CENT, 0)
        assert today["resets_at"] < tomorrow["resets_at"]
        assert [call(fresh, **keys) for _ in range(2)] == ["passed"] * 2
        assert used(fresh, "budget_agent", **keys) == 2 * CENT
        assert used(fresh, "budget_session", **keys) == 7 * CENT
    with fresh:  # and the ledger says the same
        assert used(fresh, "budget_agent", **keys) == 2 * CENT
        clock.write_text("0")
        assert used(fresh, "budget_agent", **keys) == 5 * CENT


# --- several processes ---


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def pair(
    redis_server: RedisServer, postgresql: str, _provider: Provider, tmp_path: Path
) -> Iterator[tuple[Ledger, Ledger]]:
    """Two proxies over one PostgreSQL and one Redis."""
    redis_server.empty()
    env = DIME | {
        "AGENTLEDGER_DSN": create_database(postgresql),
        "AGENTLEDGER_REDIS_URL": redis_server.url,
        "AGENTLEDGER_RATE_LIMIT_USER_RPM": "10",
    }
    with ExitStack() as stack:
        found = []
        for server in ("daphne", "uvicorn"):
            (tmp_path / server).mkdir()
            ledger = Ledger(tmp_path / server, _provider.url, server=server, env=env)
            found.append(stack.enter_context(ledger))
        yield found[0], found[1]


def test_two_processes_share_a_budget(pair: tuple[Ledger, Ledger], provider: Provider) -> None:
    program(provider, after_s=ALL_AT_ONCE_S)
    assert at_once(100, *pair, session_id="s") == {"passed": 10, "budget_reserved": 90}
    assert provider.counts()["received"] == 10
    for ledger in pair:
        assert used(ledger, session_id="s") == 10 * CENT
        assert call(ledger, session_id="s") == "budget_exceeded"
    assert at_once(100, *pair) == {"passed": 20, "budget_reserved": 80}
    assert used(pair[0], "budget_daily") == used(pair[1], "budget_daily") == 30 * CENT


def test_two_processes_share_a_limit(pair: tuple[Ledger, Ledger], provider: Provider) -> None:
    assert at_once(100, *pair, user_id="u") == {"passed": 10, "rate_limited": 90}
    for ledger in pair:
        assert standing(ledger, "rate_limit_user_rpm", user_id="u")["left"] == 0


def test_a_process_is_killed_and_comes_back(
    pair: tuple[Ledger, Ledger], provider: Provider
) -> None:
    """What its calls held is held until it is back, and knows what became of them."""
    killed, other = pair
    program(provider)
    assert [call(killed, session_id="s") for _ in range(2)] == ["passed"] * 2
    provider.reset()
    # A response that has cost 3 cents by the time of the kill: expected was one.
    chunks = canned.chat_chunks(["word "] * 27, usage=False, model="penny")
    words = canned.data_events(chunks[:-1], done=False)
    provider.response(*canned.stream(words)[:-1], canned.HANG)
    with running_stream(provider, killed):
        wait_until(lambda: standing(other, "budget_session", session_id="s")["reserved"] == CENT)
        killed.kill()
    assert standing(other, "budget_session", session_id="s")["used"] == 2 * CENT
    killed.start()
    found = wait_until(
        lambda: next(
            (s for s in [standing(other, "budget_session", session_id="s")] if not s["reserved"]),
            None,
        )
    )
    recorded = [c for c in killed.calls("s", count=3) if c["outcome"] == "interrupted"]
    cost = Decimal(str(recorded[0]["cost_usd"]))
    assert found["used"] == 2 * CENT + cost > 4 * CENT


@contextmanager
def running_stream(provider: Provider, ledger: Ledger) -> Iterator[None]:
    has_begun = threading.Event()

    async def whole() -> None:
        async with client(ledger, session_id="s") as asking:
            try:
                stream = await asking.chat.completions.create(
                    model="penny",
                    messages=[{"role": "user", "content": "hello"}],
                    max_tokens=10,
                    stream=True,
                )
                n = 0
                async for _ in stream:
                    n += 1
                    if n == 28:
                        has_begun.set()
            except Exception:  # it is killed
                has_begun.set()

    thread = threading.Thread(target=lambda: asyncio.run(whole()))
    thread.start()
    assert has_begun.wait(30)
    yield
    thread.join()


@pytest.mark.parametrize("on_failure", ["pass", "block"])
def test_redis_becomes_unavailable_and_comes_back(
    fresh: Ledger, provider: Provider, on_failure: str
) -> None:
    program(provider)
    with RedisServer() as server:
        fresh.env = DIME | {
            "AGENTLEDGER_REDIS_URL": server.url,
            "AGENTLEDGER_ON_LIMITER_FAILURE": on_failure,
        }
        with fresh:
            assert call(fresh, session_id="s") == "passed"
            assert fresh.get("/readyz").json()["status"] == "ready"
            used(fresh, session_id="s")
            wait_until(lambda: fresh.n_recorded() == 1)
            server.stop()
            said = "passed" if on_failure == "pass" else "limiter_unavailable"
            assert [call(fresh, session_id="s") for _ in range(12)] == [said] * 12
            ready = fresh.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert "limits and budgets are not enforced" in str(ready.json()["reasons"])
            wait_until(lambda: fresh.n_recorded() == 13)
            server.start()  # empty: what was spent comes from the ledger
            wait_until(lambda: call(fresh, user_id="u") == "passed" and is_ready(fresh))
            expected = 13 * CENT if on_failure == "pass" else CENT
            assert used(fresh, session_id="s") == expected
        log = fresh.log.read_text()
    assert log.count("Redis is back") == 1
    assert log.count("until it is back, calls") == 1


def test_costs_of_calls_that_end_while_redis_is_unresponsive_are_sent_later(
    fresh: Ledger, provider: Provider
) -> None:
    program(provider)
    with RedisServer() as server:
        fresh.env = DIME | {"AGENTLEDGER_REDIS_URL": server.url}
        with fresh:
            assert call(fresh, session_id="s") == "passed"
            used(fresh, session_id="s")
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            assert [call(fresh, session_id="s") for _ in range(12)] == ["passed"] * 12
            server.process.send_signal(signal.SIGCONT)
            wait_until(lambda: call(fresh, user_id="u") == "passed" and is_ready(fresh))
            wait_until(lambda: used(fresh, session_id="s") == 13 * CENT)
            assert call(fresh, session_id="s") == "budget_exceeded"


@pytest.mark.parametrize(
    ("on_failure", "said"), [("pass", "passed"), ("block", "limiter_unavailable")]
)
def test_prior_spend_is_unknown_while_the_database_is_unavailable(
    fresh: Ledger, provider: Provider, on_failure: str, said: str
) -> None:
    program(provider)
    fresh.env = DIME | {
        "AGENTLEDGER_DSN": "postgresql://nobody@127.0.0.1:9/none",
        "AGENTLEDGER_ON_LIMITER_FAILURE": on_failure,
    }
    with fresh:
        assert [call(fresh, session_id="s") for _ in range(3)] == [said] * 3
        ready = fresh.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert "the ledger's sums" in " ".join(ready.json()["reasons"])


def is_ready(ledger: Ledger) -> bool:
    return bool(ledger.get("/readyz").json()["status"] == "ready")
