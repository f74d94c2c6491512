"""What is used of limits and budgets, where one process takes all the calls."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Literal, NamedTuple
from uuid import UUID

from capture.admission import budgets as rules
from capture.admission import rate_limits as rates
from capture.admission.budgets import NOTHING, Balance, Budgets, reservation_usd
from capture.admission.decision import (
    AccountSpend,
    AdmissionRequest,
    Admitted,
    Refused,
    SpendLookup,
    Standing,
    TokenBudget,
)
from capture.admission.rate_limits import Limits, Windows
from capture.admission.state.ledger_sums import LedgerSums
from capture.admission.state.outage import Outage
from capture.admission.state.standing import budget_standing, limit_standing
from capture.ledger.accounts import Account

# Sums that nothing was added to for so long leave, if the ledger has them by then.
IDLE_S = 600.0
# Sums looked at for that with each call: as many as a call can add.
LOOKED_AT = 4


@dataclass(frozen=True, slots=True)
class Clock:
    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.unix(), UTC)


@dataclass(slots=True)
class Sum:
    """Of one account."""

    spent_usd: Decimal
    touched: float  # monotonic
    held_usd: Decimal = NOTHING
    n_running: int = 0


class Reservation(NamedTuple):
    usd: Decimal
    sums: list[tuple[Sum, Decimal]]  # with the limit of each


class MemoryState:
    """`prior_spend` is asked for sums that are not known; without it they begin at 0, and those of
    sessions never leave."""

    is_local = True

    def __init__(
        self,
        limits: Limits,
        budgets: Budgets,
        *,
        prior_spend: SpendLookup | None = None,
        on_failure: Literal["pass", "block"] = "pass",
        clock: Clock | None = None,
    ) -> None:
        self._limits = limits
        self._budgets = budgets
        self._clock = clock or Clock()
        self._outage = Outage("the ledger's sums", on_failure)
        self._ledger = LedgerSums(prior_spend, self._outage) if prior_spend else None
        self._windows = Windows()
        self._sums: OrderedDict[Account, Sum] = OrderedDict()
        self._running: dict[UUID, Reservation] = {}
        self._day = (0, date(1970, 1, 1))
        self._recorded = -inf  # monotonic

    @property
    def degraded(self) -> str | None:
        return self._outage.reason

    async def admit(self, asking: AdmissionRequest) -> Admitted | Refused:
        budgets = self._budgets
        charged = budgets.of_call(asking, self._today())
        if charged and budgets.refuses_unpriced(asking):
            return rules.unpriced_refusal(asking, budgets)
        while unknown := [account for account, _ in charged if account not in self._sums]:
            missing = await self._learn(unknown)
            if missing and not self._outage.passes:
                return self._outage.response()
            charged = [(account, limit) for account, limit in charged if account not in missing]
        # From here on nothing is awaited: what is checked is what is counted on.
        now = self._clock.monotonic()
        limits = self._limits.of_call(asking)
        if limits:
            wait_s, limit = max([(self._windows.wait_s(limit, now), limit) for limit in limits])
            if wait_s > 0:
                return rates.refusal(limit, wait_s, self._clock.now())
        sums = [(self._sums[account], limit) for account, limit in charged]
        balances = [
            Balance(account, limit, one.spent_usd, one.held_usd)
            for (account, limit), (one, _) in zip(charged, sums, strict=True)
        ]
        if budgets.blocks:
            for balance in balances:
                if balance.left_usd <= 0:
                    return rules.refusal(balances, budgets)
        for limit in limits:
            self._windows.count(limit, now)
        if sums:
            self._hold(asking, sums, now)
        return rules.admission(asking, balances, budgets)

    def _hold(self, asking: AdmissionRequest, sums: list[tuple[Sum, Decimal]], now: float) -> None:
        usd = reservation_usd(asking)
        for one, _ in sums:
            one.held_usd += usd
            one.n_running += 1
            one.touched = now
        self._running[asking.action_id] = Reservation(usd, sums)
        self._let_idle_leave(now)

    async def extend(self, asking: AdmissionRequest, usd: Decimal) -> bool:
        reservation = self._running.get(asking.action_id)
        if reservation is None:
            return True
        more = usd - reservation.usd
        if self._budgets.blocks:
            for one, limit in reservation.sums:
                if one.spent_usd + one.held_usd + more > limit:
                    return False
        for one, _ in reservation.sums:
            one.held_usd += more
        self._running[asking.action_id] = Reservation(usd, reservation.sums)
        return True

    async def settle(self, asking: AdmissionRequest, cost_usd: Decimal) -> None:
        self._end(asking, cost_usd)

    async def release(self, asking: AdmissionRequest) -> None:
        self._end(asking, NOTHING)

    def _end(self, asking: AdmissionRequest, cost_usd: Decimal) -> None:
        reservation = self._running.pop(asking.action_id, None)
        if reservation is None:
            return
        now = self._clock.monotonic()
        for one, _ in reservation.sums:
            one.held_usd -= reservation.usd
            one.spent_usd += cost_usd
            one.n_running -= 1
            one.touched = now

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        pass  # what a killed process held went with it

    def recorded(self, ago_s: float) -> None:
        self._recorded = self._clock.monotonic() - ago_s

    async def seed(self, sums: Iterable[AccountSpend]) -> None:
        now = self._clock.monotonic()
        for account, usd in sums:
            self._sums.setdefault(account, Sum(usd, now))

    async def _learn(self, unknown: list[Account]) -> list[Account]:
        """Those of which the sums could not be had."""
        known = dict.fromkeys(unknown, NOTHING)
        if self._ledger is not None:
            known = await self._ledger.of(unknown)
        await self.seed(AccountSpend(account, usd) for account, usd in known.items())
        return [account for account in unknown if account not in known]

    def _let_idle_leave(self, now: float) -> None:
        """Looks at those that were not looked at for longest."""
        today = self._today()
        for _ in range(min(LOOKED_AT, len(self._sums))):
            account, one = self._sums.popitem(last=False)
            is_over = account.day is not None and account.day < today
            is_idle = one.n_running == 0 and now - one.touched > IDLE_S
            is_kept = self._ledger is not None and one.touched < self._recorded
            if not (is_idle and (is_over or is_kept)):
                self._sums[account] = one

    async def standing(
        self,
        *,
        session_id: str | None = None,
        agent_name: str | None = None,
        user_id: str | None = None,
        token: TokenBudget | None = None,
    ) -> list[Standing]:
        charged = self._budgets.of(session_id, agent_name, user_id, token, self._today())
        await self._learn([account for account, _ in charged if account not in self._sums])
        found = []
        for account, limit_usd in charged:
            if account in self._sums:
                one = self._sums[account]
                balance = Balance(account, limit_usd, one.spent_usd, one.held_usd)
                found.append(budget_standing(balance))
        now, at = self._clock.monotonic(), self._clock.now()
        for limit in self._limits.of(session_id, agent_name, user_id):
            used, resets_in_s = self._windows.used(limit, now)
            resets_at = None if resets_in_s is None else at + timedelta(seconds=resets_in_s)
            found.append(limit_standing(limit, used, resets_at))
        return found

    async def close(self) -> None:
        pass

    def _today(self) -> date:
        day = int(self._clock.unix() // 86400)
        if day != self._day[0]:
            self._day = (day, date(1970, 1, 1) + timedelta(day))
        return self._day[1]
