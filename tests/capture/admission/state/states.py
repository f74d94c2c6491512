"""The two states under one clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

from capture.admission.budgets import Budgets
from capture.admission.decision import (
    AdmissionRequest,
    Admitted,
    Refused,
    SpendLookup,
    Standing,
    State,
)
from capture.admission.rate_limits import Limits
from capture.admission.state.memory import Clock, MemoryState
from capture.admission.state.redis import RedisState

T = TypeVar("T")

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()


class Bench:
    """A state, to be called from plain tests, and its clock."""

    def __init__(
        self,
        limits: Limits,
        budgets: Budgets,
        prior_spend: SpendLookup | None = None,
        redis_url: str | None = None,
    ) -> None:
        self.now = NOON
        self.runner = asyncio.Runner()
        self.state: State
        if redis_url is None:
            clock = Clock(monotonic=lambda: self.now, unix=lambda: self.now)
            self.state = MemoryState(limits, budgets, prior_spend=prior_spend, clock=clock)
        else:
            self.state = RedisState(
                redis_url,
                limits,
                budgets,
                prior_spend=prior_spend,
                lease_s=1e8,  # nobody renews by the clock of a test
                timeout_s=30,  # on a busy machine
                unix=lambda: self.now,
            )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def close(self) -> None:
        self.run(self.state.close())
        self.runner.close()


def new_request(
    usd: Decimal | str | None = "1",
    *,
    session: str | None = None,
    agent: str | None = None,
    user: str | None = None,
) -> AdmissionRequest:
    return AdmissionRequest(
        action_id=uuid4(),
        session_id=session,
        agent_name=agent,
        user_id=user,
        model="gpt-4o",
        expected_usd=None if usd is None else Decimal(usd),
    )


def admission_of(response: Admitted | Refused) -> Admitted:
    """Fails if the call was refused."""
    assert isinstance(response, Admitted), response
    return response


def refusal_of(response: Admitted | Refused) -> Refused:
    """Fails if the call was admitted."""
    assert isinstance(response, Refused), response
    return response


def by_name(standings: list[Standing]) -> dict[str, Standing]:
    return {standing.name: standing for standing in standings}


def used_and_held(standing: Standing) -> tuple[object, object]:
    return standing.used, standing.reserved
