"""What is Redis's own: several processes, leases, outages."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest

from capture.admission.budgets import Budgets
from capture.admission.decision import AccountSpend, Admitted, Keys, Refused
from capture.admission.rate_limits import Limits
from capture.admission.state.outage import Outage
from capture.admission.state.redis import RedisState
from capture.admission.state.redis_client import RedisClient
from capture.admission.state.redis_upkeep import EndedCall, Upkeep
from capture.ledger.accounts import Account
from tests.capture.admission.state.states import (
    admission_of,
    by_name,
    new_request,
    refusal_of,
    used_and_held,
)
from tests.support.ledger import PROJECT
from tests.support.redis_server import RedisServer

LIMITS = Limits(overall=1000)
BUDGETS = Budgets(session=Decimal(10))
SESSION = Account("session", "s", None)


@asynccontextmanager
async def state(
    server: RedisServer,
    limits: Limits = LIMITS,
    budgets: Budgets = BUDGETS,
    *,
    on_failure: Literal["pass", "block"] = "pass",
    lease_s: float = 600,
    timeout_s: float = 20,  # on a busy machine
    prior_spend: Callable[[Account], Awaitable[Decimal]] | None = None,
    unix: Callable[[], float] | None = None,
) -> AsyncIterator[RedisState]:
    made = RedisState(
        server.url,
        limits,
        budgets,
        on_failure=on_failure,
        lease_s=lease_s,
        timeout_s=timeout_s,
        prior_spend=prior_spend,
        unix=unix,
    )
    try:
        yield made
    finally:
        await made.close()


async def of_session(one: RedisState) -> tuple[object, object]:
    """What is spent and held of the session's budget."""
    return used_and_held(by_name(await one.standing(Keys(session_id="s")))["budget_session"])


async def until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    deadline = time.monotonic() + 20
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_two_processes_share_budgets_and_limits(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        limits = Limits(overall=30)
        async with state(redis_server, limits) as one, state(redis_server, limits) as other:
            budgeted = [s.admit(new_request(session="s")) for _ in range(50) for s in (one, other)]
            responses = await asyncio.gather(*budgeted)
            assert sum(isinstance(response, Admitted) for response in responses) == 10
            free = [s.admit(new_request()) for _ in range(50) for s in (one, other)]
            responses = await asyncio.gather(*free)
            assert sum(isinstance(response, Admitted) for response in responses) == 20

    asyncio.run(scenario())


def test_the_start_of_one_process_does_not_reset_what_another_has_counted(
    redis_server: RedisServer,
) -> None:
    async def ledger_of_noon(_: Account) -> Decimal:
        return Decimal(3)

    async def ledger_of_later(_: Account) -> Decimal:
        return Decimal(4)

    async def scenario() -> None:
        async with (
            state(redis_server, prior_spend=ledger_of_noon) as one,
            state(redis_server, prior_spend=ledger_of_later) as other,
        ):
            call = new_request(session="s")
            assert admission_of(await one.admit(call)).remaining_usd == 7
            await one.settle(call, Decimal(2))
            assert admission_of(await other.admit(new_request(session="s"))).remaining_usd == 5

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["looked up", "seeded"])
def test_a_sum_of_the_ledger_is_not_charged_again_for_a_call_that_it_holds(
    redis_server: RedisServer, how: str
) -> None:
    """A call that Redis never knew of, since it was away, is settled once it is back. By then the
    ledger's sum, which has the call in it, may have been taken over."""
    recorded = AccountSpend(SESSION, Decimal(3))

    async def prior_spend(_: Account) -> Decimal:
        return recorded.usd

    async def scenario() -> None:
        async with state(redis_server, prior_spend=prior_spend) as one:
            ended = time.monotonic() - 1
            if how == "seeded":
                await one.seed([recorded])
            admission_of(await one.admit(new_request(session="s")))
            client = RedisClient(redis_server.url, Outage("Redis", "pass"), timeout_s=20, idle_s=0)
            upkeep = Upkeep(client, lease_s=600)
            await upkeep.settle(EndedCall(uuid4(), Decimal(2), [SESSION], ended))
            assert await of_session(one) == (3, 1)
            later = EndedCall(uuid4(), Decimal(2), [SESSION], time.monotonic())
            await upkeep.settle(later)
            await upkeep.settle(later)
            assert await of_session(one) == (5, 1)
            await upkeep.close()
            await client.close()

    asyncio.run(scenario())


KILLED = """
import asyncio, os, sys
from dataclasses import replace
from decimal import Decimal
from tests.capture.admission.state.states import new_request
from capture.admission.budgets import Budgets
from capture.admission.rate_limits import Limits
from capture.admission.state.redis import RedisState
from uuid import UUID

async def main():
    state = RedisState(sys.argv[1], Limits(), Budgets(session=Decimal(10)), lease_s=1, timeout_s=20)
    await state.admit(replace(new_request("4", session="s"), action_id=UUID(int=4)))
    print("admitted", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_what_a_killed_process_held_counts_as_spent_until_its_calls_are_known(
    redis_server: RedisServer,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, redis_server.url], cwd=PROJECT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"admitted\n"

    async def scenario() -> None:
        async with state(redis_server, lease_s=1) as one:
            for _ in range(8):  # it lives, and renews its lease
                assert await of_session(one) == (0, 4)
                await asyncio.sleep(0.2)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

            async def is_spent() -> bool:
                return await of_session(one) == (4, 0)

            await until(is_spent)
            # The recorder has understood what there was of it.
            killed = replace(new_request("4", session="s"), action_id=UUID(int=4))
            for _ in range(2):
                await one.settle(killed, Decimal("1.5"))
                assert await of_session(one) == (Decimal("1.5"), 0)

    try:
        asyncio.run(scenario())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_call_that_was_taken_for_lost_is_corrected_when_it_ends(
    redis_server: RedisServer,
) -> None:
    now = time.time()

    async def scenario() -> None:
        nonlocal now
        async with state(redis_server, lease_s=30, unix=lambda: now) as one:
            paid, failed = new_request("2", session="s"), new_request("3", session="s")
            for call in (paid, failed):
                admission_of(await one.admit(call))
            now += 31
            assert await of_session(one) == (5, 0)
            assert await one.extend(paid, Decimal(4))
            assert await of_session(one) == (7, 0)
            await one.settle(paid, Decimal(1))
            await one.release(failed)
            assert await of_session(one) == (1, 0)

    asyncio.run(scenario())


def test_a_clock_that_is_set_back_holds_nobody_up(redis_server: RedisServer) -> None:
    redis_server.empty()
    now = time.time()

    async def scenario() -> None:
        nonlocal now
        async with state(redis_server, Limits(overall=2), lease_s=30, unix=lambda: now) as one:
            admission_of(await one.admit(new_request(session="s")))
            now += 10
            admission_of(await one.admit(new_request(session="s")))
            now -= 3600
            refused = refusal_of(await one.admit(new_request(session="s")))
            assert refused.retry_after_s == pytest.approx(50)
            now += 51
            admission_of(await one.admit(new_request(session="s")))
            refusal_of(await one.admit(new_request(session="s")))
            # The leases of the first two are over, as they would be without the change.
            assert await of_session(one) == (2, 1)

    asyncio.run(scenario())


def test_scripts_that_redis_has_forgotten_are_loaded_again(redis_server: RedisServer) -> None:
    async def scenario() -> None:
        async with state(redis_server) as one:
            admission_of(await one.admit(new_request(session="s")))
            with redis_server.client() as client:
                client.script_flush()
            responses = await asyncio.gather(
                *[one.admit(new_request(session="s")) for _ in range(20)]
            )
            assert sum(isinstance(response, Admitted) for response in responses) == 9

    asyncio.run(scenario())


def test_an_agent_that_hangs_up_while_it_is_admitted_holds_nothing(
    redis_server: RedisServer,
) -> None:
    async def scenario() -> None:
        async with state(redis_server) as one:
            admission_of(await one.admit(new_request(session="s")))
            for turns in range(12):
                task = asyncio.create_task(one.admit(new_request(session="s")))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()

            async def is_released() -> bool:
                return await of_session(one) == (0, 1)

            await until(is_released)

    asyncio.run(scenario())


def test_every_key_expires(redis_server: RedisServer) -> None:
    async def nothing(_: Account) -> Decimal:
        return Decimal(0)

    async def scenario() -> None:
        everything = Budgets(Decimal(10), Decimal(10), Decimal(10), Decimal(10))
        limits = Limits(10, 10, 10, 10)
        async with state(redis_server, limits, everything, prior_spend=nothing) as one:
            admission_of(await one.admit(new_request(session="s", agent="a", user="u")))
            ended = new_request(session="s", agent="a", user="u")
            admission_of(await one.admit(ended))
            await one.settle(ended, Decimal(1))
            with redis_server.client() as client:
                ttl_s = {key: client.ttl(key) for key in client.scan_iter()}
        assert len(ttl_s) == 1 + 2 + 4 + 4
        without = [key for key, ttl in ttl_s.items() if ttl < 0]
        assert without == [b"{agentledger}:leases"]  # which running calls are in, and no others
        assert max(ttl_s.values()) <= 2 * 86400

    asyncio.run(scenario())


# --- when Redis is unavailable ---


@pytest.fixture
def own_server() -> Any:
    with RedisServer() as server:
        yield server


def test_while_redis_is_unavailable_calls_pass_and_it_is_logged_once(
    own_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with state(own_server, Limits(overall=1)) as one:
            admission_of(await one.admit(new_request()))
            refusal_of(await one.admit(new_request()))
            assert one.outage_reason is None
            own_server.stop()
            began = time.monotonic()
            for _ in range(50):
                assert await one.admit(new_request(session="s")) == Admitted((), Decimal(0), None)
            assert time.monotonic() - began < 5
            assert one.outage_reason is not None
            assert one.outage_reason.startswith("Redis: ")
            assert await one.standing(Keys(session_id="s")) == []
            own_server.start()

            async def is_back() -> bool:
                await one.admit(new_request())
                return one.outage_reason is None

            await until(is_back)
            refusal_of(await one.admit(new_request()))

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    said = [r.getMessage() for r in caplog.records if r.name == "agentledger.admission"]
    assert len(said) == 2
    assert said[0].endswith("until it is back, calls go unlimited")
    assert said[1] == "Redis is back"


def test_while_redis_is_unavailable_calls_are_refused_if_configured(
    own_server: RedisServer,
) -> None:
    async def scenario() -> None:
        own_server.stop()
        async with state(own_server, on_failure="block") as one:
            response = refusal_of(await one.admit(new_request(session="s")))
            assert (response.status, response.code) == (503, "limiter_unavailable")
            assert (response.may_retry, response.retry_after_s) == (True, 1.0)

    asyncio.run(scenario())


def test_an_agent_does_not_wait_for_an_unresponsive_redis(own_server: RedisServer) -> None:
    async def scenario() -> list[Admitted | Refused]:
        async with state(own_server, timeout_s=0.5) as one:
            assert own_server.process is not None
            own_server.process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            responses = await asyncio.gather(
                *[one.admit(new_request(session="s")) for _ in range(300)]
            )
            responses += [await one.admit(new_request(session="s")) for _ in range(20)]
            assert time.monotonic() - began < 10
            own_server.process.send_signal(signal.SIGCONT)
            return responses

    responses = asyncio.run(scenario())
    assert responses == [Admitted((), Decimal(0), None)] * 320


def test_calls_that_end_while_redis_is_unavailable_are_spent_when_it_is_back(
    own_server: RedisServer,
) -> None:
    async def scenario() -> None:
        async with state(own_server, timeout_s=0.5) as one:
            before, during = new_request("4", session="s"), new_request("1", session="s")
            admission_of(await one.admit(before))
            assert own_server.process is not None
            own_server.process.send_signal(signal.SIGSTOP)
            admission_of(await one.admit(during))
            await one.settle(before, Decimal(2))
            await one.settle(during, Decimal("0.5"))
            own_server.process.send_signal(signal.SIGCONT)

            async def is_told() -> bool:
                standing = by_name(await one.standing(Keys(session_id="s")))
                if "budget_session" not in standing:
                    return False
                return used_and_held(standing["budget_session"]) == (Decimal("2.5"), 0)

            await until(is_told)

    asyncio.run(scenario())


def test_when_redis_has_lost_everything_sums_are_read_from_the_ledger_again(
    redis_server: RedisServer,
) -> None:
    recorded = Decimal(0)

    async def prior_spend(_: Account) -> Decimal:
        return recorded

    async def scenario() -> None:
        nonlocal recorded
        async with state(redis_server, prior_spend=prior_spend) as one:
            ended, running = new_request("4", session="s"), new_request("3", session="s")
            for call in (ended, running):
                admission_of(await one.admit(call))
            redis_server.empty()
            await one.settle(ended, Decimal(2))
            recorded = Decimal(2)
            assert admission_of(await one.admit(new_request(session="s"))).remaining_usd == 8
            await one.settle(running, Decimal(3))  # it held nothing any more
            assert await of_session(one) == (5, 1)

    asyncio.run(scenario())
