"""The state of limits and budgets in Redis, shared by all processes. The clock of Redis is the one
that counts. Each step is one script: one round trip, and no other step can come in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from capture.admission import budgets as rules
from capture.admission import rate_limits as rates
from capture.admission.budgets import (
    NOTHING,
    AccountLimits,
    Balance,
    Budgets,
    reservation_usd,
)
from capture.admission.decision import (
    AccountSpend,
    AdmissionRequest,
    Admitted,
    Keys,
    Refused,
    SpendLookup,
    Standing,
)
from capture.admission.rate_limits import Limit, Limits
from capture.admission.state import redis_scripts
from capture.admission.state.ledger_sums import LedgerSums
from capture.admission.state.outage import Outage
from capture.admission.state.redis_client import RedisClient, Unavailable
from capture.admission.state.redis_pipeline import TIMEOUT_S
from capture.admission.state.redis_upkeep import EndedCall, Upkeep
from capture.admission.state.redis_values import (
    EPOCH,
    account_table,
    day_number,
    limit_table,
    on_day,
    to_units,
    to_us,
    to_usd,
)
from capture.admission.state.standing import budget_standing, limit_standing
from capture.ledger.accounts import Account

# A killed process renews nothing: a lease later, what its calls held counts as spent.
LEASE_S = 30.0
# A session's sum that has been idle for this long is dropped; the ledger has it by then.
IDLE_S = 86_400
SEEDS_AT_ONCE = 1000


class RedisState:
    """`prior_spend` provides sums that Redis does not know; without it they begin at 0, and those
    of sessions are never dropped. `unix`, for tests, replaces the clock of Redis."""

    is_local = False

    def __init__(
        self,
        url: str,
        limits: Limits,
        budgets: Budgets,
        *,
        prior_spend: SpendLookup | None = None,
        on_failure: Literal["pass", "block"] = "pass",
        lease_s: float = LEASE_S,
        timeout_s: float = TIMEOUT_S,
        unix: Callable[[], float] | None = None,
    ) -> None:
        self._limits = limits
        self._budgets = budgets
        self._outage = Outage("Redis", on_failure)
        self._ledger_outage = Outage("the ledger's sums", on_failure)
        self._ledger = LedgerSums(prior_spend, self._ledger_outage) if prior_spend else None
        idle_s = 0 if self._ledger is None else IDLE_S
        self._client = RedisClient(url, self._outage, timeout_s=timeout_s, idle_s=idle_s, unix=unix)
        self._lease_s = lease_s
        self._upkeep = Upkeep(self._client, lease_s)

    @property
    def outage_reason(self) -> str | None:
        return self._outage.reason or self._ledger_outage.reason

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused:
        charged = self._accounts_of_some_day(request)
        if charged and self._budgets.refuses_unpriced(request):
            return rules.unpriced_refusal(request, self._budgets)
        limits = self._limits.applicable(request)
        if not charged and not limits:
            return rules.admission(request, (), self._budgets)
        try:
            return await self._admit(request, limits, charged)
        except Unavailable as failure:
            decision = self._outage.decision()
            if isinstance(decision, Refused) and failure.was_tried:
                self._upkeep.settle_later(self._end(request, NOTHING))  # it may hold something
            return decision
        except asyncio.CancelledError:  # the agent hung up
            self._upkeep.settle_later(self._end(request, NOTHING))
            raise

    async def _admit(
        self, request: AdmissionRequest, limits: list[Limit], charged: AccountLimits
    ) -> Admitted | Refused:
        seeds: dict[Account, Decimal] = {}
        today = 0
        while True:
            verdict, *reply = await self._client.run(
                redis_scripts.ADMIT,
                id=str(request.action_id),
                usd=to_units(reservation_usd(request)),
                blocks=self._budgets.blocks,
                lease_us=to_us(self._lease_s),
                limits=[limit_table(limit) for limit in limits],
                accounts=_account_tables(charged, seeds),
                begin_at_0=self._ledger is None,
                today=today,
            )
            if verdict == b"limited":
                limit, wait_us = limits[reply[0] - 1], int(reply[1])
                return rates.rate_limit_refusal(limit, wait_us / 1e6, self._now())
            today = reply[0]
            charged = [(on_day(account, today), limit) for account, limit in charged]
            if verdict != b"unknown":
                break
            assert self._ledger is not None
            unknown = [charged[which - 1][0] for which in reply[1:]]
            seeds |= await self._ledger.look_up(unknown)
            if missing := [account for account in unknown if account not in seeds]:
                if not self._ledger_outage.passes:
                    return self._ledger_outage.decision()
                charged = [(a, limit) for a, limit in charged if a not in missing]
        balances = [
            Balance(account, limit, to_usd(spent), to_usd(held))
            for (account, limit), spent, held in zip(charged, reply[1::2], reply[2::2], strict=True)
        ]
        if verdict == b"reached":
            return rules.budget_refusal(balances, self._budgets)
        if balances:
            self._upkeep.begin_call(request.action_id)
        return rules.admission(request, balances, self._budgets)

    async def extend(self, request: AdmissionRequest, usd: Decimal) -> bool:
        if not self._budgets.apply_to(request):
            return True
        try:
            reply = await self._client.run(
                redis_scripts.EXTEND,
                id=str(request.action_id),
                usd=to_units(usd),
                blocks=self._budgets.blocks,
            )
        except Unavailable:
            return self._outage.passes
        return bool(reply)

    async def settle(self, request: AdmissionRequest, cost_usd: Decimal) -> None:
        if not self._budgets.apply_to(request):
            return
        self._upkeep.end_call(request.action_id)
        call = self._end(request, cost_usd)
        try:
            await self._upkeep.settle(call)
        except Unavailable:
            self._upkeep.settle_later(call)
        except asyncio.CancelledError:
            self._upkeep.settle_later(call)
            raise

    async def release(self, request: AdmissionRequest) -> None:
        await self.settle(request, NOTHING)

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        # Without accounts: the cost goes only to the sums of which the call held something.
        call = EndedCall(action_id, cost_usd, [], time.monotonic())
        with contextlib.suppress(Unavailable):
            await self._upkeep.settle(call)

    def mark_recorded(self, ago_s: float) -> None:
        pass  # sums stay for a day, whatever is recorded

    async def seed(self, spending: Iterable[AccountSpend]) -> None:
        seeds = [
            {**account_table(account), "day": day_number(account), "usd": to_units(usd)}
            for account, usd in spending
        ]
        for start in range(0, len(seeds), SEEDS_AT_ONCE):
            with contextlib.suppress(Unavailable):
                await self._client.run(
                    redis_scripts.SEED, seeds=seeds[start : start + SEEDS_AT_ONCE]
                )

    async def standing(self, keys: Keys) -> list[Standing]:
        """Returns an empty list while Redis is unavailable."""
        charged = self._accounts_of_some_day(keys)
        limits = self._limits.applicable(keys)
        try:
            today, *reply = await self._client.run(
                redis_scripts.STANDING,
                accounts=[account_table(account) for account, _ in charged],
                limits=[limit_table(limit) for limit in limits],
            )
        except Unavailable:
            return []
        pairs = list(zip(reply[::2], reply[1::2], strict=True))
        charged = [(on_day(account, today), limit) for account, limit in charged]
        balances = await self._balances(charged, pairs[: len(charged)])
        standings = [budget_standing(balance) for balance in balances]
        now = self._now()
        for limit, (used, us) in zip(limits, pairs[len(charged) :], strict=True):
            resets_at = now + timedelta(microseconds=int(us)) if us else None
            standings.append(limit_standing(limit, used, resets_at))
        return standings

    async def _balances(
        self, charged: AccountLimits, sums: list[tuple[bytes, bytes]]
    ) -> list[Balance]:
        """`sums` has what is spent from and held of each account, both empty where Redis does not
        know it. Leaves out accounts whose sum the ledger cannot provide either."""
        unknown = [
            account for (account, _), (spent, _) in zip(charged, sums, strict=True) if spent == b""
        ]
        known = dict.fromkeys(unknown, NOTHING)
        if self._ledger is not None:
            known = await self._ledger.look_up(unknown)
        balances = []
        for (account, limit_usd), (spent, held) in zip(charged, sums, strict=True):
            if spent != b"":
                balances.append(Balance(account, limit_usd, to_usd(spent), to_usd(held)))
            elif account in known:
                balances.append(Balance(account, limit_usd, known[account], NOTHING))
        return balances

    async def close(self) -> None:
        """Calls that are still running are lost when their leases end."""
        await self._upkeep.close()
        await self._client.close()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._client.now(), UTC)

    def _accounts_of_some_day(self, keys: Keys) -> AccountLimits:
        """Returns the accounts of an arbitrary day: Redis decides on the day."""
        return self._budgets.accounts(keys, EPOCH)

    def _end(self, request: AdmissionRequest, cost_usd: Decimal) -> EndedCall:
        accounts = [account for account, _ in self._accounts_of_some_day(request)]
        return EndedCall(request.action_id, cost_usd, accounts, time.monotonic())


def _account_tables(charged: AccountLimits, seeds: dict[Account, Decimal]) -> list[dict[str, Any]]:
    return [
        {
            **account_table(account),
            "limit": to_units(limit),
            "seed": to_units(seeds[account]) if account in seeds else False,
        }
        for account, limit in charged
    ]
