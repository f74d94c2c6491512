"""What admission is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from capture.ledger.accounts import Account
from capture.wire.types import JSON


class TokenBudget(NamedTuple):
    """What an ingest token may spend in a day."""

    token: str  # its name
    usd: Decimal


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What admission knows of a call before it goes upstream."""

    action_id: UUID
    session_id: str | None
    agent_name: str | None
    user_id: str | None
    model: str | None
    expected_usd: Decimal | None  # what it is expected to cost; None: its model has no price
    token: TokenBudget | None = None  # None: it came with no ingest token, or one without a budget


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    budget: str  # "session" | "agent" | "daily" | "user" | "token" | "unpriced"
    key: str | None  # the session, agent, user or token; the model that is unpriced
    spent_usd: Decimal
    limit_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Admitted:
    warnings: tuple[BudgetWarning, ...]
    reserved_usd: Decimal  # 0 where no budget applies
    # The least of what the budgets had left for this call, its own reservation not taken off; None:
    # none applies.
    remaining_usd: Decimal | None


NOTHING_APPLIES = Admitted(warnings=(), reserved_usd=Decimal(0), remaining_usd=None)


@dataclass(frozen=True, slots=True)
class Refused:
    status: int  # 401, 402, 403, 429, 503
    code: str  # "budget_exceeded", "budget_reserved", "rate_limited", "stopped", "model_denied", …
    message: str  # one sentence: which limit, spent, limit, when it resets
    retry_after_s: float | None
    may_retry: bool
    facts: dict[str, JSON] = field(default_factory=dict)  # for the record: which limit, of whom, …
    warnings: tuple[BudgetWarning, ...] = ()  # where a budget is to warn and to block


class AccountSpend(NamedTuple):
    account: Account
    usd: Decimal


SpendLookup = Callable[[Account], Awaitable[Decimal]]
"""Asks what was spent of an account that the state does not know (yet, or any more): by all calls
that the state does not count itself."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One budget or limit, of one key or of all calls. Budgets are in USD, limits in calls."""

    name: str  # of its variable, in lower case: "budget_session", "rate_limit_rpm", …
    key: str | None  # the session, agent, user or token; None: all calls
    limit: Decimal
    used: Decimal
    reserved: Decimal
    left: Decimal  # never below 0
    resets_at: datetime | None  # None: never (a session's budget), or nothing is used


class State(Protocol):
    """What is used of limits and budgets: in this process, or shared by many.

    The methods are coroutines for the sake of Redis. In memory only `admit` is suspended, where a
    budget is met for the first time: awaiting the others costs a third of a microsecond.
    """

    is_local: bool  # in this process

    @property
    def degraded(self) -> str | None:
        """Why limits do not hold just now; None: they do."""
        ...

    async def admit(self, asking: AdmissionRequest) -> Admitted | Refused:
        """Rate limits, then budgets: all are checked before anything is counted."""
        ...

    async def extend(self, asking: AdmissionRequest, usd: Decimal) -> bool:
        """Raise the reservation of a running call to `usd`, if what is left allows it; whether it
        does. Where budgets only warn, it always does."""
        ...

    async def settle(self, asking: AdmissionRequest, cost_usd: Decimal) -> None:
        """The reservation ends and the cost is spent, on the day that admitted the call. What is
        settled or released stays so."""
        ...

    async def release(self, asking: AdmissionRequest) -> None:
        """The reservation ends and nothing is spent. What is settled or released stays so."""
        ...

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        """Of a call whose process was killed: where what it held still counts, its cost does
        instead."""
        ...

    def recorded(self, ago_s: float) -> None:
        """All calls that ended so long ago, or longer, are in the ledger."""
        ...

    async def seed(self, sums: Iterable[AccountSpend]) -> None:
        """What was spent before. A sum that is known already is kept: it has counted since."""
        ...

    async def standing(
        self,
        *,
        session_id: str | None = None,
        agent_name: str | None = None,
        user_id: str | None = None,
        token: TokenBudget | None = None,
    ) -> list[Standing]:
        """Those of all calls, and those of the keys that are given, as far as they are limited."""
        ...

    async def close(self) -> None: ...
