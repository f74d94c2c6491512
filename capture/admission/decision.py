"""What admission is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from capture.wire.types import JSON


@dataclass(frozen=True, slots=True)
class Asking:
    """What admission knows of a call before it goes upstream."""

    action_id: UUID
    session_id: str | None
    agent_name: str | None
    user_id: str | None
    model: str | None
    expected_usd: Decimal | None  # what it is expected to cost; None: its model has no price


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    budget: str  # "session" | "agent" | "daily" | "user" | "unpriced"
    key: str | None  # the session, agent or user
    spent_usd: Decimal
    limit_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Admitted:
    warnings: tuple[BudgetWarning, ...]
    reserved_usd: Decimal  # 0 where no budget applies
    remaining_usd: Decimal | None  # the least of what is left of the budgets; None: none applies


@dataclass(frozen=True, slots=True)
class Refused:
    status: int  # 401, 402, 403, 429, 503
    code: str  # "budget_exceeded", "budget_reserved", "rate_limited", "stopped", "model_denied", …
    message: str  # one sentence: which limit, spent, limit, when it resets
    retry_after_s: float | None
    may_retry: bool
    facts: dict[str, JSON] = field(default_factory=dict)  # for the record: which limit, of whom, …


@dataclass(frozen=True, slots=True)
class Standing:
    """One budget or limit, of one key or of all calls. Budgets are in USD, limits in calls."""

    name: str  # of its variable, in lower case: "budget_session", "rate_limit_rpm", …
    key: str | None  # the session, agent or user; None: all calls
    limit: Decimal
    used: Decimal
    reserved: Decimal
    left: Decimal  # never below 0
    resets_at: datetime | None  # None: never (a session's budget), or nothing is used


class State(Protocol):
    """What is used of limits and budgets: in this process, or shared by many."""

    degraded: str | None  # why limits do not hold just now; None: they do

    def admit(self, asking: Asking) -> Awaitable[Admitted | Refused]:
        """Rate limits, then budgets: all are checked before anything is counted."""
        ...

    def settle(self, asking: Asking, cost_usd: Decimal) -> Awaitable[None]:
        """The reservation ends and the cost is spent. What is settled or released stays so."""
        ...

    def release(self, asking: Asking) -> Awaitable[None]:
        """The reservation ends and nothing is spent. What is settled or released stays so."""
        ...

    async def standing(
        self,
        *,
        session_id: str | None = None,
        agent_name: str | None = None,
        user_id: str | None = None,
    ) -> list[Standing]:
        """Those of all calls, and those of the keys that are given, as far as they are limited."""
        ...
