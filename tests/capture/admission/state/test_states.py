"""Limits and budgets, in memory and in Redis alike."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from capture.admission.budgets import Budgets
from capture.admission.decision import AccountSpend, Admitted, BudgetWarning, Keys, Refused
from capture.admission.rate_limits import Limits
from capture.ledger.accounts import Account
from tests.capture.admission.state.conftest import MakeBench
from tests.capture.admission.state.states import (
    NOON,
    Bench,
    admission_of,
    by_name,
    new_request,
    refusal_of,
    used_and_held,
)

DAY = date(2026, 3, 14)


def at_once(bench: Bench, n: int, **of: str) -> list[Admitted | Refused]:
    async def all_of_them() -> list[Admitted | Refused]:
        return await asyncio.gather(*[bench.state.admit(new_request(**of)) for _ in range(n)])

    return bench.run(all_of_them())


@pytest.mark.parametrize(
    ("budgets", "of"),
    [
        (Budgets(session=Decimal(10)), {"session": "s"}),
        (Budgets(agent=Decimal(10)), {"agent": "a"}),
        (Budgets(user=Decimal(10)), {"user": "u"}),
        (Budgets(daily=Decimal(10)), {}),
        (Budgets(Decimal(12), Decimal(13), Decimal(10)), {"session": "s", "agent": "a"}),
    ],
    ids=["session", "agent", "user", "daily", "all"],
)
def test_of_a_hundred_calls_at_once_under_a_budget_of_ten_ten_pass(
    bench: MakeBench, budgets: Budgets, of: dict[str, str]
) -> None:
    responses = at_once(bench(budgets=budgets), 100, **of)
    assert sum(isinstance(response, Admitted) for response in responses) == 10
    others = [response for response in responses if isinstance(response, Refused)]
    assert {(r.status, r.code, r.retry_after_s, r.may_retry) for r in others} == {
        (429, "budget_reserved", 1.0, True)
    }


@pytest.mark.parametrize(
    ("limits", "of"),
    [
        (Limits(overall=10), {}),
        (Limits(session=10), {"session": "s"}),
        (Limits(agent=10), {"agent": "a"}),
        (Limits(user=10), {"user": "u"}),
    ],
    ids=["all", "session", "agent", "user"],
)
def test_of_a_hundred_calls_at_once_under_a_limit_of_ten_ten_pass(
    bench: MakeBench, limits: Limits, of: dict[str, str]
) -> None:
    responses = at_once(bench(limits), 100, **of)
    assert sum(isinstance(response, Admitted) for response in responses) == 10
    others = [response for response in responses if isinstance(response, Refused)]
    assert {(r.status, r.code, r.may_retry) for r in others} == {(429, "rate_limited", True)}


def test_a_limit_has_no_window_edge_at_which_more_pass(bench: MakeBench) -> None:
    b = bench(Limits(overall=2))
    for at, passes in [(59, True), (59.5, True), (61, False), (118.8, False), (119.1, True)]:
        b.now = NOON + at
        assert isinstance(b.run(b.state.admit(new_request())), Admitted) is passes, at


def test_a_limit_resets_when_the_first_call_of_its_window_leaves_it(bench: MakeBench) -> None:
    b = bench(Limits(session=3))

    def standing() -> tuple[object, object, datetime | None]:
        [one] = b.run(b.state.standing(Keys(session_id="s")))
        assert (one.name, one.key, int(one.limit)) == ("rate_limit_session_rpm", "s", 3)
        return one.used, one.left, one.resets_at

    assert standing() == (0, 3, None)
    for after_s in (0, 20, 5):
        b.now += after_s
        admission_of(b.run(b.state.admit(new_request(session="s"))))
    assert standing() == (3, 0, datetime(2026, 3, 14, 12, 1, tzinfo=UTC))
    b.now = NOON + 60
    assert standing() == (2, 1, datetime(2026, 3, 14, 12, 1, 20, tzinfo=UTC))
    b.now = NOON + 80.5
    assert standing() == (1, 2, datetime(2026, 3, 14, 12, 1, 25, tzinfo=UTC))
    b.now = NOON + 85
    assert standing() == (0, 3, None)


def test_retry_after_says_when_the_next_call_passes(bench: MakeBench) -> None:
    b = bench(Limits(overall=2, session=1))
    admission_of(b.run(b.state.admit(new_request(session="s"))))
    b.now += 10
    admission_of(b.run(b.state.admit(new_request())))
    b.now += 5
    response = refusal_of(b.run(b.state.admit(new_request())))
    assert response.retry_after_s == 45
    assert response.facts == {
        "rate_limit": "all",
        "key": None,
        "used": 2,
        "limit": 2,
        "resets_at": "2026-03-14T12:01:00+00:00",
    }
    b.now += 44.75
    assert refusal_of(b.run(b.state.admit(new_request()))).retry_after_s == 0.25
    b.now += 0.25
    admission_of(b.run(b.state.admit(new_request())))
    assert refusal_of(b.run(b.state.admit(new_request()))).retry_after_s == 10


def test_a_refusal_by_several_limits_names_the_longest_wait(bench: MakeBench) -> None:
    b = bench(Limits(overall=2, session=1))
    admission_of(b.run(b.state.admit(new_request())))
    b.now += 20
    admission_of(b.run(b.state.admit(new_request(session="s"))))
    b.now += 10
    response = refusal_of(b.run(b.state.admit(new_request(session="s"))))
    assert (response.facts["rate_limit"], response.retry_after_s) == ("session", 50)
    assert response.message == (
        "The rate limit of session s of 1 requests in 60 seconds is reached;"
        " the next one passes in 50.000 s."
    )
    assert refusal_of(b.run(b.state.admit(new_request(session="t")))).retry_after_s == 30


def test_a_call_that_one_limit_refuses_does_not_count_against_others(bench: MakeBench) -> None:
    b = bench(Limits(overall=10, session=1, user=5), Budgets(daily=Decimal(5), agent=Decimal(1)))
    of = {"session": "s", "user": "u", "agent": "a"}
    admission_of(b.run(b.state.admit(new_request(**of))))
    assert refusal_of(b.run(b.state.admit(new_request(**of)))).code == "rate_limited"
    by_budget = refusal_of(b.run(b.state.admit(new_request(session="t", user="u", agent="a"))))
    assert by_budget.code == "budget_reserved"
    standing = b.run(b.state.standing(Keys(session_id="s", agent_name="a", user_id="u")))
    used = {name: used_and_held(s) for name, s in by_name(standing).items()}
    assert used == {
        "budget_agent": (0, 1),
        "budget_daily": (0, 1),
        "rate_limit_rpm": (1, 0),
        "rate_limit_session_rpm": (1, 0),
        "rate_limit_user_rpm": (1, 0),
    }
    of_t = b.run(b.state.standing(Keys(session_id="t")))
    assert by_name(of_t)["rate_limit_session_rpm"].used == 0


def test_what_is_settled_is_spent_and_what_is_released_is_not(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal("1")))
    dear, failed = new_request("0.6", session="s"), new_request("0.3", session="s")
    assert admission_of(b.run(b.state.admit(dear))).remaining_usd == 1
    response = admission_of(b.run(b.state.admit(failed)))
    assert (response.reserved_usd, response.remaining_usd) == (Decimal("0.3"), Decimal("0.4"))
    b.run(b.state.settle(dear, Decimal("0.7")))
    b.run(b.state.release(failed))
    [standing] = b.run(b.state.standing(Keys(session_id="s")))
    assert used_and_held(standing) == (Decimal("0.7"), 0)
    assert standing.left == Decimal("0.3")
    assert standing.resets_at is None


def test_the_end_of_a_call_counts_once(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(9)))
    first, second = new_request(session="s"), new_request(session="s")
    for one in (first, second):
        admission_of(b.run(b.state.admit(one)))
    for _ in range(3):
        b.run(b.state.settle(first, Decimal(2)))
        b.run(b.state.release(first))
        b.run(b.state.release(second))
        b.run(b.state.settle(second, Decimal(3)))
    [standing] = b.run(b.state.standing(Keys(session_id="s")))
    assert used_and_held(standing) == (2, 0)


def test_a_spent_budget_is_not_to_be_retried(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(daily=Decimal("0.25"), status=402))
    one = new_request("0.1")
    admission_of(b.run(b.state.admit(one)))
    b.run(b.state.settle(one, Decimal("0.3000000001")))
    response = refusal_of(b.run(b.state.admit(new_request("0"))))
    assert response == Refused(
        status=402,
        code="budget_exceeded",
        message=(
            "The daily budget is spent: 0.3000000001 of 0.25 USD;"
            " it resets at 2026-03-15T00:00:00Z."
        ),
        retry_after_s=None,
        may_retry=False,
        facts={
            "budget": "daily",
            "key": None,
            "spent_usd": "0.3000000001",
            "reserved_usd": "0",
            "limit_usd": "0.25",
            "resets_at": "2026-03-15T00:00:00+00:00",
        },
    )


def test_a_refusal_names_a_spent_budget_rather_than_a_held_one(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(1), daily=Decimal(2)))
    for key in ("s", "t"):
        one = new_request(session=key)
        admission_of(b.run(b.state.admit(one)))
        b.run(b.state.settle(one, Decimal(1)))
    response = refusal_of(b.run(b.state.admit(new_request(session="new"))))
    assert (response.code, response.facts["budget"]) == ("budget_exceeded", "daily")
    response = refusal_of(b.run(b.state.admit(new_request(session="s"))))
    assert response.message == "The session budget of s is spent: 1 of 1 USD; it resets never."


def test_keys_do_not_share_budgets(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(Decimal(1), Decimal(1), None, Decimal(1)))
    admission_of(b.run(b.state.admit(new_request(session="x", agent="y", user="z"))))
    admission_of(b.run(b.state.admit(new_request(session="y", agent="z", user="x"))))
    admission_of(b.run(b.state.admit(new_request())))
    refusal_of(b.run(b.state.admit(new_request(user="z"))))


def test_unusual_keys_are_kept_apart(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(1)))
    for key in ("a:b", "", "ключ", "'} *", "a:b\n"):
        admission_of(b.run(b.state.admit(new_request(session=key))))
        refusal_of(b.run(b.state.admit(new_request(session=key))))


def test_a_cost_counts_on_the_day_that_admitted_its_call(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(daily=Decimal(1), agent=Decimal(1)))
    b.now = datetime(2026, 3, 14, 23, 59, 50, tzinfo=UTC).timestamp()
    before = new_request(agent="a")
    admission_of(b.run(b.state.admit(before)))
    refusal_of(b.run(b.state.admit(new_request(agent="a"))))
    b.now += 20
    after = new_request(agent="a")
    admission_of(b.run(b.state.admit(after)))
    b.run(b.state.settle(before, Decimal(50)))
    standing = by_name(b.run(b.state.standing(Keys(agent_name="a"))))
    for name in ("budget_daily", "budget_agent"):
        assert used_and_held(standing[name]) == (0, 1)
        assert standing[name].resets_at == datetime(2026, 3, 16, tzinfo=UTC)


def test_a_sessions_budget_never_resets(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(1)))
    one = new_request(session="s")
    admission_of(b.run(b.state.admit(one)))
    b.run(b.state.settle(one, Decimal(1)))
    b.now += 40 * 86400
    refusal_of(b.run(b.state.admit(new_request(session="s"))))


def test_where_budgets_only_warn_calls_pass_marked(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(1), daily=Decimal(5), action="warn"))
    one = new_request(session="s")
    assert admission_of(b.run(b.state.admit(one))).warnings == ()
    b.run(b.state.settle(one, Decimal("1.5")))
    response = admission_of(b.run(b.state.admit(new_request(session="s"))))
    assert response.warnings == (BudgetWarning("session", "s", Decimal("1.5"), Decimal(1)),)
    assert response.remaining_usd == 0


def test_both_blocks(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(daily=Decimal(0), action="both"))
    assert refusal_of(b.run(b.state.admit(new_request()))).code == "budget_exceeded"


def test_a_model_without_a_price_passes_marked(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(1)))
    response = admission_of(b.run(b.state.admit(new_request(None, session="s"))))
    assert response == Admitted(
        (BudgetWarning("unpriced", "gpt-4o", Decimal(0), None),), Decimal(0), Decimal(1)
    )
    assert admission_of(b.run(b.state.admit(new_request(None)))).warnings == ()


def test_a_model_without_a_price_is_refused_if_configured(bench: MakeBench) -> None:
    b = bench(Limits(overall=1), Budgets(session=Decimal(1), unpriced="block"))
    response = refusal_of(b.run(b.state.admit(new_request(None, session="s"))))
    assert (response.code, response.may_retry) == ("budget_unpriced", False)
    admission_of(b.run(b.state.admit(new_request(None))))


def test_where_budgets_only_warn_a_model_without_a_price_passes_whatever_is_configured(
    bench: MakeBench,
) -> None:
    b = bench(budgets=Budgets(session=Decimal(1), action="warn", unpriced="block"))
    response = admission_of(b.run(b.state.admit(new_request(None, session="s"))))
    assert response.warnings == (BudgetWarning("unpriced", "gpt-4o", Decimal(0), None),)


def test_where_budgets_both_warn_and_block_a_model_without_a_price_is_refused(
    bench: MakeBench,
) -> None:
    b = bench(budgets=Budgets(session=Decimal(1), action="both", unpriced="block"))
    response = refusal_of(b.run(b.state.admit(new_request(None, session="s"))))
    assert response.code == "budget_unpriced"


def test_a_running_call_may_hold_more_while_enough_is_left(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(10), daily=Decimal(100)))
    one, other = new_request("1", session="s"), new_request("4", session="s")
    for call in (one, other):
        admission_of(b.run(b.state.admit(call)))
    assert b.run(b.state.extend(one, Decimal(6)))
    assert not b.run(b.state.extend(one, Decimal("6.0000000001")))
    standing = by_name(b.run(b.state.standing(Keys(session_id="s"))))
    assert standing["budget_session"].reserved == standing["budget_daily"].reserved == 10
    b.run(b.state.settle(one, Decimal(6)))
    b.run(b.state.release(other))
    standing = by_name(b.run(b.state.standing(Keys(session_id="s"))))
    assert used_and_held(standing["budget_session"]) == (6, 0)


def test_a_call_that_holds_nothing_goes_on(bench: MakeBench) -> None:
    """It was admitted while the state was away, or has ended."""
    b = bench(budgets=Budgets(session=Decimal(1)))
    assert b.run(b.state.extend(new_request(session="s"), Decimal(100)))


def test_the_overshoot_is_what_running_calls_cost_beyond_what_they_hold(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(daily=Decimal(10)))
    calls = [new_request() for _ in range(100)]

    async def all_at_once() -> list[Admitted | Refused]:
        return await asyncio.gather(*map(b.state.admit, calls))

    responses = b.run(all_at_once())
    ran = [c for c, a in zip(calls, responses, strict=True) if isinstance(a, Admitted)]
    for call in ran:
        b.run(b.state.settle(call, Decimal(3)))
    [standing] = b.run(b.state.standing(Keys()))
    assert standing.used == 10 + len(ran) * (3 - 1)
    assert standing.left == 0
    refusal_of(b.run(b.state.admit(new_request())))


def test_the_last_call_may_exceed_a_budget_by_its_cost(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(daily=Decimal(10)))
    responses = at_once(b, 100, usd="3")
    assert sum(isinstance(response, Admitted) for response in responses) == 4
    [standing] = b.run(b.state.standing(Keys()))
    assert used_and_held(standing) == (0, 12)
    assert standing.left == 0


def test_sums_of_the_ledger_count_as_spent(bench: MakeBench) -> None:
    b = bench(budgets=Budgets(session=Decimal(5), daily=Decimal(8)))
    spent = [
        AccountSpend(Account("session", "s", None), Decimal("4.5")),
        AccountSpend(Account("daily", None, DAY), Decimal(7)),
        AccountSpend(Account("daily", None, date(2026, 3, 13)), Decimal(70)),
    ]
    b.run(b.state.seed(spent))
    one = new_request(session="s")
    assert admission_of(b.run(b.state.admit(one))).remaining_usd == Decimal("0.5")
    b.run(b.state.settle(one, Decimal("0.25")))
    b.run(b.state.seed(spent))  # another process starts: what was counted since stays
    assert admission_of(b.run(b.state.admit(new_request(session="s")))).remaining_usd == Decimal(
        "0.25"
    )


def test_the_ledger_is_queried_once_for_prior_spend(bench: MakeBench) -> None:
    parsed_request: list[Account] = []

    async def prior_spend(account: Account) -> Decimal:
        parsed_request.append(account)
        await asyncio.sleep(0.01)
        return Decimal(95)

    b = bench(budgets=Budgets(session=Decimal(100), daily=Decimal(100)), prior_spend=prior_spend)
    responses = at_once(b, 20, session="s")
    assert sum(isinstance(response, Admitted) for response in responses) == 5
    at_once(b, 20, session="s")
    assert sorted(parsed_request) == [Account("daily", None, DAY), Account("session", "s", None)]


def test_while_the_ledger_is_unavailable_limits_hold_and_budgets_are_open(bench: MakeBench) -> None:
    is_away = True

    async def prior_spend(account: Account) -> Decimal:
        if is_away:
            raise OSError("no database")
        return Decimal(1)

    b = bench(Limits(overall=2), Budgets(session=Decimal(1)), prior_spend=prior_spend)
    for _ in range(2):
        response = admission_of(b.run(b.state.admit(new_request(session="s"))))
        assert response.remaining_usd is None
    assert b.state.outage_reason == "the ledger's sums: no database"
    assert refusal_of(b.run(b.state.admit(new_request(session="s")))).code == "rate_limited"
    is_away = False
    b.now += 61
    b.run(asyncio.sleep(1.01))
    assert refusal_of(b.run(b.state.admit(new_request(session="s")))).code == "budget_exceeded"
    assert b.state.outage_reason is None
