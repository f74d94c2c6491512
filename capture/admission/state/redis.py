"""What is used of limits and budgets, shared by all processes through Redis. Its clock is the one
that counts, and each step is one script: one round trip, and nothing comes between."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import islice
from typing import Any, Literal, NamedTuple
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
from capture.admission.rate_limits import Limit, Limits
from capture.admission.state import redis_scripts
from capture.admission.state.ledger_sums import LedgerSums
from capture.admission.state.outage import Outage
from capture.admission.state.redis_pipeline import FAILURES, MAX_BATCH, TIMEOUT_S, Pipe
from capture.admission.state.standing import budget_standing, limit_standing
from capture.ledger.accounts import Account
from capture.tasks import ended

# A process that is killed renews nothing: a lease later, what its calls held is spent.
LEASE_S = 30.0
# Sums of sessions that nothing was added to for so long leave; the ledger has them by then.
IDLE_S = 86_400
# Calls that ended while Redis was away, to be told to it when it is back.
MAX_UNTOLD = 100_000
UPKEEP_S = 1.0

_PLACES = 10  # money is in units of 1e-10 USD there
_EPOCH = date(1970, 1, 1)

Charged = list[tuple[Account, Decimal]]


class Unavailable(Exception):
    """Redis did not answer: the outage says why."""

    def __init__(self, was_asked: bool) -> None:
        super().__init__()
        self.was_asked = was_asked


class End(NamedTuple):
    """Of a call, which Redis has not been told."""

    asking: AdmissionRequest
    cost_usd: Decimal
    at: float  # monotonic


class RedisState:
    """`prior_spend` is asked for sums that Redis does not know; without it they begin at 0, and
    those of sessions never leave. `unix`, for tests, stands in for the clock of Redis."""

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
        self._pipe = Pipe(url, timeout_s)
        self._limits = limits
        self._budgets = budgets
        self._outage = Outage("Redis", on_failure)
        self._ledger_outage = Outage("the ledger's sums", on_failure)
        self._ledger = LedgerSums(prior_spend, self._ledger_outage) if prior_spend else None
        self._lease_s = lease_s
        self._unix = unix
        self._running: set[UUID] = set()
        self._untold: dict[UUID, End] = {}
        self._upkeep: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> str | None:
        return self._outage.reason or self._ledger_outage.reason

    async def admit(self, asking: AdmissionRequest) -> Admitted | Refused:
        charged = self._charged(asking)
        if charged and self._budgets.refuses_unpriced(asking):
            return rules.unpriced_refusal(asking, self._budgets)
        limits = self._limits.of_call(asking)
        if not charged and not limits:
            return rules.admission(asking, (), self._budgets)
        try:
            return await self._admit(asking, limits, charged)
        except Unavailable as failure:
            response = self._outage.response()
            if isinstance(response, Refused) and failure.was_asked:
                self._tell_later(asking, NOTHING)  # it may hold what it asked for
            return response
        except asyncio.CancelledError:  # the agent left
            self._tell_later(asking, NOTHING)
            raise

    async def _admit(
        self, asking: AdmissionRequest, limits: list[Limit], charged: Charged
    ) -> Admitted | Refused:
        seeds: dict[Account, Decimal] = {}
        today = 0
        while True:
            verdict, *reply = await self._run(
                redis_scripts.ADMIT,
                id=str(asking.action_id),
                usd=_units(reservation_usd(asking)),
                blocks=self._budgets.blocks,
                lease_us=_us(self._lease_s),
                limits=[_limit(limit) for limit in limits],
                accounts=[
                    {**_account(account), "limit": _units(limit), "seed": _seed(seeds, account)}
                    for account, limit in charged
                ],
                begin_at_0=self._ledger is None,
                today=today,
            )
            if verdict == b"limited":
                return rates.refusal(limits[reply[0] - 1], int(reply[1]) / 1e6, self._now())
            today = reply[0]
            charged = [(_on(account, today), limit) for account, limit in charged]
            if verdict != b"unknown":
                break
            assert self._ledger is not None
            unknown = [charged[which - 1][0] for which in reply[1:]]
            seeds |= await self._ledger.of(unknown)
            if missing := [account for account in unknown if account not in seeds]:
                if not self._ledger_outage.passes:
                    return self._ledger_outage.response()
                charged = [(a, limit) for a, limit in charged if a not in missing]
        balances = [
            Balance(account, limit, _usd(spent), _usd(held))
            for (account, limit), spent, held in zip(charged, reply[1::2], reply[2::2], strict=True)
        ]
        if verdict == b"reached":
            return rules.refusal(balances, self._budgets)
        if balances:
            self._running.add(asking.action_id)
            self._keep_up()
        return rules.admission(asking, balances, self._budgets)

    async def extend(self, asking: AdmissionRequest, usd: Decimal) -> bool:
        if not self._charged(asking):
            return True
        try:
            return bool(
                await self._run(
                    redis_scripts.EXTEND,
                    id=str(asking.action_id),
                    usd=_units(usd),
                    blocks=self._budgets.blocks,
                )
            )
        except Unavailable:
            return self._outage.passes

    async def settle(self, asking: AdmissionRequest, cost_usd: Decimal) -> None:
        if not self._charged(asking):
            return
        self._running.discard(asking.action_id)
        end = End(asking, cost_usd, time.monotonic())
        try:
            await self._tell(end)
        except Unavailable:
            self._tell_later(asking, cost_usd)
        except asyncio.CancelledError:
            self._tell_later(asking, cost_usd)
            raise

    async def release(self, asking: AdmissionRequest) -> None:
        await self.settle(asking, NOTHING)

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        with contextlib.suppress(Unavailable):
            await self._run(
                redis_scripts.SETTLE,
                id=str(action_id),
                usd=_units(cost_usd),
                age_us=0,
                accounts=[],  # it is spent of what it held, and of nothing else
            )

    def recorded(self, ago_s: float) -> None:
        pass  # sums stay for a day

    async def seed(self, sums: Iterable[AccountSpend]) -> None:
        seeds = [
            {**_account(account), "day": _day(account), "usd": _units(usd)} for account, usd in sums
        ]
        for at in range(0, len(seeds), 1000):
            with contextlib.suppress(Unavailable):
                await self._run(redis_scripts.SEED, seeds=seeds[at : at + 1000])

    async def standing(
        self,
        *,
        session_id: str | None = None,
        agent_name: str | None = None,
        user_id: str | None = None,
        token: TokenBudget | None = None,
    ) -> list[Standing]:
        """Empty while Redis is away."""
        charged = self._budgets.of(session_id, agent_name, user_id, token, _EPOCH)
        limits = self._limits.of(session_id, agent_name, user_id)
        try:
            today, *reply = await self._run(
                redis_scripts.STANDING,
                accounts=[_account(account) for account, _ in charged],
                limits=[_limit(limit) for limit in limits],
            )
        except Unavailable:
            return []
        charged = [(_on(account, today), limit) for account, limit in charged]
        pairs = list(zip(reply[::2], reply[1::2], strict=True))
        unknown = [
            account
            for (account, _), (spent, _) in zip(charged, pairs, strict=False)
            if spent == b""
        ]
        known = dict.fromkeys(unknown, NOTHING)
        if self._ledger is not None:
            known = await self._ledger.of(unknown)
        found = []
        for (account, limit_usd), (spent, held) in zip(charged, pairs, strict=False):
            if spent != b"":
                balance = Balance(account, limit_usd, _usd(spent), _usd(held))
                found.append(budget_standing(balance))
            elif account in known:
                balance = Balance(account, limit_usd, known[account], NOTHING)
                found.append(budget_standing(balance))
        now = self._now()
        for limit, (used, us) in zip(limits, pairs[len(charged) :], strict=True):
            resets_at = now + timedelta(microseconds=int(us)) if us else None
            found.append(limit_standing(limit, used, resets_at))
        return found

    async def close(self) -> None:
        """Calls that still run are lost, if they do: their leases end."""
        if self._upkeep is not None:
            await ended([self._upkeep])
        await self._tell_untold()
        await self._pipe.close()

    # --- what Redis is told ---

    async def _run(self, script: str, **arguments: Any) -> Any:
        if not self._outage.may_try():
            raise Unavailable(was_asked=False)
        arguments["idle_s"] = 0 if self._ledger is None else IDLE_S
        if self._unix is not None:
            arguments["now_us"] = _us(self._unix())
        try:
            reply = await self._pipe.run(script, arguments)
        except FAILURES as error:
            self._outage.begins(error)
            raise Unavailable(was_asked=True) from error
        self._outage.ends()
        return reply

    async def _tell(self, end: End) -> None:
        await self._run(
            redis_scripts.SETTLE,
            id=str(end.asking.action_id),
            usd=_units(end.cost_usd),
            age_us=_us(time.monotonic() - end.at),
            accounts=[_account(account) for account, _ in self._charged(end.asking)],
        )

    def _tell_later(self, asking: AdmissionRequest, cost_usd: Decimal) -> None:
        """What was told first counts: the end of a call is told once, however often."""
        if len(self._untold) < MAX_UNTOLD:
            end = End(asking, cost_usd, time.monotonic())
            self._untold.setdefault(asking.action_id, end)
        self._keep_up()

    def _keep_up(self) -> None:
        if self._upkeep is None or self._upkeep.done():
            self._upkeep = asyncio.create_task(self._while_needed())

    async def _while_needed(self) -> None:
        renewed = time.monotonic()
        while self._running or self._untold:
            await asyncio.sleep(min(UPKEEP_S, self._lease_s / 3))
            await self._tell_untold()
            if time.monotonic() - renewed >= self._lease_s / 3:
                renewed = time.monotonic()
                await self._renew()

    async def _tell_untold(self) -> None:
        while self._untold:
            ends = list(islice(self._untold.values(), MAX_BATCH))
            told = await asyncio.gather(*map(self._tell, ends), return_exceptions=True)
            for end, failure in zip(ends, told, strict=True):
                if failure is None:
                    self._untold.pop(end.asking.action_id, None)
            if any(told):
                return

    async def _renew(self) -> None:
        ids = [str(action_id) for action_id in self._running]
        for at in range(0, len(ids), 1000):
            with contextlib.suppress(Unavailable):
                await self._run(
                    redis_scripts.RENEW, ids=ids[at : at + 1000], lease_us=_us(self._lease_s)
                )

    def _now(self) -> datetime:
        return datetime.fromtimestamp((self._unix or time.time)(), UTC)

    def _charged(self, asking: AdmissionRequest) -> Charged:
        """Of a day that is not known before Redis has said it."""
        return self._budgets.of_call(asking, _EPOCH)


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _units(usd: Decimal) -> str:
    return str(int(usd.scaleb(_PLACES).to_integral_value(ROUND_HALF_EVEN)))


def _usd(units: bytes) -> Decimal:
    return Decimal(int(units)).scaleb(-_PLACES)


def _limit(limit: Limit) -> dict[str, Any]:
    return {"key": f"limit:{limit.of}:{limit.key or ''}", "n": limit.n}


def _account(account: Account) -> dict[str, Any]:
    return {
        "budget": account.budget,
        "key": account.key or "",
        "daily": account.day is not None,
    }


def _seed(seeds: dict[Account, Decimal], account: Account) -> str | bool:
    return _units(seeds[account]) if account in seeds else False


def _on(account: Account, day: int) -> Account:
    return account if account.day is None else account._replace(day=_EPOCH + timedelta(day))


def _day(account: Account) -> int:
    return 0 if account.day is None else (account.day - _EPOCH).days
