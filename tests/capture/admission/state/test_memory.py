"""What is the memory's own: that it does not fill up."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal

from capture.admission.budgets import Budgets
from capture.admission.rate_limits import CallWindows, Limit, Limits
from capture.admission.state.memory import IDLE_S, Clock, MemoryState
from capture.ledger.accounts import Account
from tests.capture.admission.state.states import NOON, admission_of, new_request, refusal_of

N_KEYS = 3000


def test_a_window_holds_no_more_times_than_its_limit_and_no_idle_keys() -> None:
    windows = CallWindows()
    one = Limit("session", "s", 3)
    for second in range(1000):
        if windows.wait_s(one, second) <= 0:
            windows.count(one, second)
    assert windows.usage(one, 1000)[0] == 3
    for n in range(N_KEYS):
        windows.count(Limit("session", str(n), 3), 1000 + n)
    assert len(windows) == 60
    assert windows.usage(one, 1000 + N_KEYS) == (0, None)


def test_idle_sums_are_dropped_and_come_back_from_the_ledger() -> None:
    now = NOON
    recorded: dict[Account, Decimal] = {}

    async def prior_spend(account: Account) -> Decimal:
        return recorded.get(account, Decimal(0))

    async def scenario() -> None:
        nonlocal now
        budgets = Budgets(session=Decimal(1), agent=Decimal(10**6), user=Decimal(1))
        clock = Clock(monotonic=lambda: now, unix=lambda: now)
        state = MemoryState(Limits(), budgets, prior_spend=prior_spend, clock=clock)
        running = new_request(session="running")
        admission_of(await state.admit(running))
        for n in range(N_KEYS):
            call = new_request(session=f"s{n}", agent="a", user=f"u{n}")
            admission_of(await state.admit(call))
            await state.settle(call, Decimal(1))
            recorded[Account("session", f"s{n}", None)] = Decimal(1)
            now += 10
            state.mark_recorded(5)
        assert len(state._sums) < 4 * IDLE_S / 10
        assert Account("session", "s0", None) not in state._sums
        assert Account("session", "running", None) in state._sums
        assert refusal_of(await state.admit(new_request(session="s0"))).code == "budget_exceeded"
        await state.settle(running, Decimal(1))
        assert (
            refusal_of(await state.admit(new_request(session="running"))).code == "budget_exceeded"
        )

    asyncio.run(scenario())


def test_a_sum_that_the_ledger_does_not_have_yet_stays() -> None:
    now = NOON

    async def nothing_before(account: Account) -> Decimal:
        return Decimal(0)

    async def scenario() -> None:
        nonlocal now
        clock = Clock(monotonic=lambda: now, unix=lambda: now)
        budgets, numbers = Budgets(session=Decimal(1)), itertools.count()
        state = MemoryState(Limits(), budgets, prior_spend=nothing_before, clock=clock)

        async def spend(n: int) -> None:
            for _ in range(n):
                call = new_request(session=f"s{next(numbers)}")
                admission_of(await state.admit(call))
                await state.settle(call, Decimal(1))

        await spend(100)
        now += 2 * IDLE_S
        await spend(100)
        assert len(state._sums) == 200
        state.mark_recorded(IDLE_S)  # the recorder went on, for half of that time
        await spend(100)
        assert len(state._sums) == 200

    asyncio.run(scenario())


def test_without_a_ledger_only_sums_of_past_days_are_dropped() -> None:
    now = NOON

    async def scenario() -> None:
        nonlocal now
        clock = Clock(monotonic=lambda: now, unix=lambda: now)
        budgets = Budgets(session=Decimal(1), user=Decimal(1))
        state = MemoryState(Limits(), budgets, clock=clock)
        for n in range(200):
            call = new_request(session="s" if n == 0 else None, user=f"u{n}")
            admission_of(await state.admit(call))
            await state.settle(call, Decimal(1))
        now += 86400
        for _ in range(200):
            call = new_request(user="today")
            admission_of(await state.admit(call))
            await state.release(call)
        assert len(state._sums) == 2
        assert refusal_of(await state.admit(new_request(session="s"))).code == "budget_exceeded"

    asyncio.run(scenario())
