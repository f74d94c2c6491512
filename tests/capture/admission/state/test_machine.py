"""Any order of calls, ends and times, beside a model that is too simple to be wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from capture.admission.budgets import Budgets
from capture.admission.decision import AdmissionRequest, Admitted, Keys, Refused
from capture.admission.rate_limits import Limits
from tests.capture.admission.state.states import Bench, new_request
from tests.support.redis_server import RedisServer

LIMITS = Limits(overall=6, session=2, agent=3, user=4)
BUDGETS = Budgets(session=Decimal(5), agent=Decimal(7), daily=Decimal(11), user=Decimal(9))
AMOUNTS = st.decimals(min_value=0, max_value=4, places=1)
KEYS = st.sampled_from([None, "x", "y"])

Key = tuple[str, str | None, date | None]


class Machine(RuleBasedStateMachine):
    server: RedisServer | None = None
    running = Bundle("running")
    ended = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        if self.server is not None:
            self.server.empty()
        url = None if self.server is None else self.server.url
        self.bench = Bench(LIMITS, BUDGETS, redis_url=url)
        self.calls: dict[tuple[str, str | None], list[float]] = defaultdict(list)
        self.spent: dict[Key, Decimal] = defaultdict(Decimal)
        self.held: dict[AdmissionRequest, tuple[Decimal, list[Key]]] = {}

    # --- the model ---

    def today(self) -> date:
        return datetime.fromtimestamp(self.bench.now, UTC).date()

    def limits(self, call: AdmissionRequest) -> dict[tuple[str, str | None], int]:
        found: dict[tuple[str, str | None], int] = {("all", None): 6}
        named = [("session", call.session_id, 2), ("agent", call.agent_name, 3)]
        for of, key, n in [*named, ("user", call.user_id, 4)]:
            if key is not None:
                found[of, key] = n
        return found

    def budgets(self, call: AdmissionRequest) -> dict[Key, int]:
        found: dict[Key, int] = {("daily", None, self.today()): 11}
        if call.session_id is not None:
            found["session", call.session_id, None] = 5
        if call.agent_name is not None:
            found["agent", call.agent_name, self.today()] = 7
        if call.user_id is not None:
            found["user", call.user_id, self.today()] = 9
        return found

    def used(self, key: tuple[str, str | None]) -> int:
        return sum(at > self.bench.now - 60 for at in self.calls[key])

    def reserved(self, key: Key) -> Decimal:
        return sum((usd for usd, keys in self.held.values() if key in keys), Decimal(0))

    def left(self, key: Key, limit: int) -> Decimal:
        return limit - self.spent[key] - self.reserved(key)

    def expected(self, call: AdmissionRequest) -> str:
        if any(self.used(key) >= n for key, n in self.limits(call).items()):
            return "rate_limited"
        budgets = self.budgets(call)
        if any(self.spent[key] >= limit for key, limit in budgets.items()):
            return "budget_exceeded"
        if any(self.left(key, limit) <= 0 for key, limit in budgets.items()):
            return "budget_reserved"
        return "admitted"

    def run(self, coroutine: Any) -> Any:
        return self.bench.run(coroutine)

    # --- what happens ---

    @rule(target=running, session=KEYS, agent=KEYS, user=KEYS, usd=AMOUNTS)
    def a_call_comes(
        self, session: str | None, agent: str | None, user: str | None, usd: Decimal
    ) -> Any:
        call = new_request(usd, session=session, agent=agent, user=user)
        expected, budgets = self.expected(call), self.budgets(call)
        response: Admitted | Refused = self.run(self.bench.state.admit(call))
        if isinstance(response, Refused):
            assert response.code == expected
            return multiple()
        assert expected == "admitted"
        assert response.reserved_usd == usd
        assert response.remaining_usd == min(self.left(key, n) for key, n in budgets.items())
        for key in self.limits(call):
            self.calls[key].append(self.bench.now)
        self.held[call] = (usd, list(budgets))
        return call

    @rule(call=running, usd=AMOUNTS)
    def it_asks_for_more(self, call: AdmissionRequest, usd: Decimal) -> None:
        held, keys = self.held[call]
        limits = {"session": 5, "agent": 7, "user": 9, "daily": 11}
        fits = all(self.left(key, limits[key[0]]) >= usd - held for key in keys)
        assert self.run(self.bench.state.extend(call, usd)) is fits
        if fits:
            self.held[call] = (usd, keys)

    @rule(target=ended, call=consumes(running), cost=AMOUNTS)
    def it_is_settled(self, call: AdmissionRequest, cost: Decimal) -> AdmissionRequest:
        self.run(self.bench.state.settle(call, cost))
        for key in self.held.pop(call)[1]:
            self.spent[key] += cost
        return call

    @rule(target=ended, call=consumes(running))
    def it_is_released(self, call: AdmissionRequest) -> AdmissionRequest:
        self.run(self.bench.state.release(call))
        del self.held[call]
        return call

    @rule(call=ended, cost=AMOUNTS)
    def it_ends_again(self, call: AdmissionRequest, cost: Decimal) -> None:
        self.run(self.bench.state.settle(call, cost))
        self.run(self.bench.state.release(replace(call, expected_usd=None)))

    @rule(seconds=st.sampled_from([0.5, 1, 29.5, 30, 59.5, 60, 61, 3600, 6 * 3600, 12 * 3600]))
    def time_passes(self, seconds: float) -> None:
        self.bench.now += seconds

    # --- what always holds ---

    @invariant()
    def what_is_read_is_what_happened(self) -> None:
        for name in ("x", "y"):
            call = new_request(None, session=name, agent=name, user=name)
            read = self.run(
                self.bench.state.standing(Keys(session_id=name, agent_name=name, user_id=name))
            )
            found = {(s.name, s.key): (s.limit, s.used, s.reserved, s.left) for s in read}
            expected = {
                (f"budget_{key[0]}", key[1]): (
                    limit,
                    self.spent[key],
                    self.reserved(key),
                    max(self.left(key, limit), Decimal(0)),
                )
                for key, limit in self.budgets(call).items()
            }
            for (of, key), n in self.limits(call).items():
                rate = "rate_limit_rpm" if of == "all" else f"rate_limit_{of}_rpm"
                used = self.used((of, key))
                expected[rate, key] = (n, Decimal(used), Decimal(0), Decimal(n - used))
            assert found == expected

    def teardown(self) -> None:
        for call in list(self.held):
            self.run(self.bench.state.release(call))
            del self.held[call]
        self.what_is_read_is_what_happened()
        self.bench.close()


def run(server: RedisServer | None, n_examples: int) -> None:
    class Once(Machine):
        pass

    Once.server = server
    run_state_machine_as_test(
        Once,
        settings=settings(
            max_examples=n_examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_state_in_memory_follows_the_model() -> None:
    run(None, 100)


def test_the_state_in_redis_follows_the_model(redis_server: RedisServer) -> None:
    run(redis_server, 40)
