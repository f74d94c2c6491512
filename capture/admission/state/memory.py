"""The state of limits and budgets in memory, where one process takes all the calls."""

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
    Keys,
    Refused,
    SpendLookup,
    Standing,
)
from capture.admission.rate_limits import CallWindows, Limits
from capture.admission.state.ledger_sums import LedgerSums
from capture.admission.state.outage import Outage
from capture.admission.state.standing import budget_standing, limit_standing
from capture.ledger.accounts import Account

# A sum that has been idle for this long is dropped, once the ledger has it.
IDLE_S = 600.0
# Sums examined for that with each call: as many as a call can add.
N_EXAMINED = 4


@dataclass(frozen=True, slots=True)
class Clock:
    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.unix(), UTC)


@dataclass(slots=True)
class AccountSum:
    """The spending of one account, and what its running calls hold."""

    spent_usd: Decimal
    last_used: float  # monotonic
    held_usd: Decimal = NOTHING
    n_running: int = 0


class Reservation(NamedTuple):
    usd: Decimal
    sums: list[tuple[AccountSum, Decimal]]  # with the limit of each


class MemoryState:
    """`prior_spend` provides sums that are not known; without it they begin at 0, and those of
    sessions are never dropped."""

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
        self._windows = CallWindows()
        self._sums: OrderedDict[Account, AccountSum] = OrderedDict()
        self._running: dict[UUID, Reservation] = {}
        self._day = (0, date(1970, 1, 1))
        self._recorded_until = -inf  # monotonic

    @property
    def outage_reason(self) -> str | None:
        return self._outage.reason

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused:
        budgets = self._budgets
        charged = budgets.accounts(request, self._today())
        if charged and budgets.refuses_unpriced(request):
            return rules.unpriced_refusal(request, budgets)
        while unknown := [account for account, _ in charged if account not in self._sums]:
            missing = await self._load_sums(unknown)
            if missing and not self._outage.passes:
                return self._outage.decision()
            charged = [(account, limit) for account, limit in charged if account not in missing]
        # Nothing is awaited from here on, so the sums that are checked are those that are changed.
        now = self._clock.monotonic()
        limits = self._limits.applicable(request)
        if limits:
            wait_s, limit = max([(self._windows.wait_s(limit, now), limit) for limit in limits])
            if wait_s > 0:
                return rates.rate_limit_refusal(limit, wait_s, self._clock.now())
        sums = [(self._sums[account], limit) for account, limit in charged]
        balances = [
            Balance(account, limit, one.spent_usd, one.held_usd)
            for (account, limit), (one, _) in zip(charged, sums, strict=True)
        ]
        if budgets.blocks:
            for balance in balances:
                if balance.remaining_usd <= 0:
                    return rules.budget_refusal(balances, budgets)
        for limit in limits:
            self._windows.count(limit, now)
        if sums:
            self._hold(request, sums, now)
        return rules.admission(request, balances, budgets)

    def _hold(
        self, request: AdmissionRequest, sums: list[tuple[AccountSum, Decimal]], now: float
    ) -> None:
        usd = reservation_usd(request)
        for one, _ in sums:
            one.held_usd += usd
            one.n_running += 1
            one.last_used = now
        self._running[request.action_id] = Reservation(usd, sums)
        self._drop_idle_sums(now)

    async def extend(self, request: AdmissionRequest, usd: Decimal) -> bool:
        reservation = self._running.get(request.action_id)
        if reservation is None:
            return True
        more = usd - reservation.usd
        if self._budgets.blocks:
            for one, limit in reservation.sums:
                if one.spent_usd + one.held_usd + more > limit:
                    return False
        for one, _ in reservation.sums:
            one.held_usd += more
        self._running[request.action_id] = Reservation(usd, reservation.sums)
        return True

    async def settle(self, request: AdmissionRequest, cost_usd: Decimal) -> None:
        self._end(request, cost_usd)

    async def release(self, request: AdmissionRequest) -> None:
        self._end(request, NOTHING)

    def _end(self, request: AdmissionRequest, cost_usd: Decimal) -> None:
        reservation = self._running.pop(request.action_id, None)
        if reservation is None:
            return
        now = self._clock.monotonic()
        for one, _ in reservation.sums:
            one.held_usd -= reservation.usd
            one.spent_usd += cost_usd
            one.n_running -= 1
            one.last_used = now

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        pass  # what a killed process held is gone with its memory

    def mark_recorded(self, ago_s: float) -> None:
        self._recorded_until = self._clock.monotonic() - ago_s

    async def seed(self, spending: Iterable[AccountSpend]) -> None:
        now = self._clock.monotonic()
        for account, usd in spending:
            self._sums.setdefault(account, AccountSum(usd, now))

    async def _load_sums(self, unknown: list[Account]) -> list[Account]:
        """Returns the accounts whose sums are unavailable."""
        known = dict.fromkeys(unknown, NOTHING)
        if self._ledger is not None:
            known = await self._ledger.look_up(unknown)
        await self.seed(AccountSpend(account, usd) for account, usd in known.items())
        return [account for account in unknown if account not in known]

    def _drop_idle_sums(self, now: float) -> None:
        """Examines the sums that were not examined for longest."""
        today = self._today()
        for _ in range(min(N_EXAMINED, len(self._sums))):
            account, one = self._sums.popitem(last=False)
            is_over = account.day is not None and account.day < today
            is_idle = one.n_running == 0 and now - one.last_used > IDLE_S
            is_recorded = self._ledger is not None and one.last_used < self._recorded_until
            if not (is_idle and (is_over or is_recorded)):
                self._sums[account] = one

    async def standing(self, keys: Keys) -> list[Standing]:
        charged = self._budgets.accounts(keys, self._today())
        await self._load_sums([account for account, _ in charged if account not in self._sums])
        standings = []
        for account, limit_usd in charged:
            if account in self._sums:
                one = self._sums[account]
                balance = Balance(account, limit_usd, one.spent_usd, one.held_usd)
                standings.append(budget_standing(balance))
        now, at = self._clock.monotonic(), self._clock.now()
        for limit in self._limits.applicable(keys):
            used, resets_in_s = self._windows.usage(limit, now)
            resets_at = None if resets_in_s is None else at + timedelta(seconds=resets_in_s)
            standings.append(limit_standing(limit, used, resets_at))
        return standings

    async def close(self) -> None:
        pass

    def _today(self) -> date:
        day = int(self._clock.unix() // 86400)
        if day != self._day[0]:
            self._day = (day, date(1970, 1, 1) + timedelta(day))
        return self._day[1]
