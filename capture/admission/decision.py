"""The terms of admission: requests, decisions, and the state that decisions are based on."""

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
    """The amount that an ingest token may spend in a day."""

    token: str  # its name
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The names by which budgets and limits tell callers apart; None: that name is not given."""

    session_id: str | None = None
    agent_name: str | None = None
    user_id: str | None = None
    token: TokenBudget | None = None  # None: no ingest token, or one without a budget


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRequest(Keys):
    """A call as admission knows it before it goes upstream. It has its keys as fields of its own
    since one is made for every call."""

    action_id: UUID
    model: str | None
    expected_usd: Decimal | None  # the estimated cost; None: its model has no price


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
    # What was left in the budget that had the least, before this call's reservation; None: no
    # budget applies.
    remaining_usd: Decimal | None


NOTHING_APPLIES = Admitted(warnings=(), reserved_usd=Decimal(0), remaining_usd=None)


@dataclass(frozen=True, slots=True)
class Refused:
    status: int  # 401, 402, 403, 429, 503
    code: str  # "budget_exceeded", "budget_reserved", "rate_limited", "stopped", "model_denied", …
    message: str  # one sentence: which limit, spent, limit, when it resets
    retry_after_s: float | None
    may_retry: bool
    facts: dict[str, JSON] = field(default_factory=dict)  # for the record: which limit, whose, …
    warnings: tuple[BudgetWarning, ...] = ()  # where budgets both warn and block


class AccountSpend(NamedTuple):
    account: Account
    usd: Decimal


SpendLookup = Callable[[Account], Awaitable[Decimal]]
"""Returns what was spent from an account by all calls that the state has not counted itself. The
state asks for accounts that it does not know (yet, or any more)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The used part of one budget or limit. Budgets are in USD, limits in calls."""

    name: str  # its variable in lower case: "budget_session", "rate_limit_rpm", …
    key: str | None  # the session, agent, user or token; None: all calls
    limit: Decimal
    used: Decimal
    reserved: Decimal
    left: Decimal  # never below 0
    resets_at: datetime | None  # None: never (a session's budget), or nothing is used


class State(Protocol):
    """The counts and sums behind limits and budgets: in this process, or shared by many.

    The methods are coroutines for the sake of Redis. In memory only `admit` is ever suspended, when
    it meets a budget for the first time: awaiting the others costs a third of a microsecond.
    """

    is_local: bool  # True: in this process

    @property
    def outage_reason(self) -> str | None:
        """The reason why limits do not hold at the moment; None: they do."""
        ...

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused:
        """Checks rate limits, then budgets; counts the call only if all of them admit it."""
        ...

    async def extend(self, request: AdmissionRequest, usd: Decimal) -> bool:
        """Raises the reservation of a running call to `usd`. Returns false if what is left does not
        allow it; where budgets only warn, it is always allowed."""
        ...

    async def settle(self, request: AdmissionRequest, cost_usd: Decimal) -> None:
        """Ends the reservation and counts the cost as spent, on the day on which the call was
        admitted. Does nothing if the call is settled or released already."""
        ...

    async def release(self, request: AdmissionRequest) -> None:
        """Ends the reservation without spending. Does nothing if the call is settled or released
        already."""
        ...

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        """Settles a call whose process was killed: its cost replaces what it reserved, as far as
        that still counts."""
        ...

    def mark_recorded(self, ago_s: float) -> None:
        """Notes that all calls that ended at least `ago_s` seconds ago are in the ledger."""
        ...

    async def seed(self, spending: Iterable[AccountSpend]) -> None:
        """Sets what was spent before. A sum that is known already stays: it has counted since."""
        ...

    async def standing(self, keys: Keys) -> list[Standing]:
        """Returns the standing of each budget and limit of all calls, and of those of `keys`."""
        ...

    async def close(self) -> None: ...
