"""The work that goes on while calls run: renewing their leases, and settling those that ended while
Redis was unavailable."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from capture.admission.state import redis_scripts
from capture.admission.state.redis_client import RedisClient, Unavailable
from capture.admission.state.redis_pipeline import MAX_BATCH
from capture.admission.state.redis_values import account_table, to_units, to_us
from capture.ledger.accounts import Account
from capture.tasks import cancel_tasks

# Calls that ended while Redis was unavailable, to be settled when it is back.
MAX_UNSETTLED = 100_000
UPKEEP_S = 1.0
RENEWED_AT_ONCE = 1000


class EndedCall(NamedTuple):
    action_id: UUID
    cost_usd: Decimal
    accounts: list[Account]
    ended: float  # monotonic


class Upkeep:
    """Runs as a task of its own, but only while there is something to do."""

    def __init__(self, client: RedisClient, lease_s: float) -> None:
        self._client = client
        self._lease_s = lease_s
        self._running: set[UUID] = set()
        self._unsettled: dict[UUID, EndedCall] = {}
        self._task: asyncio.Task[None] | None = None

    def begin_call(self, action_id: UUID) -> None:
        self._running.add(action_id)
        self._ensure_task()

    def end_call(self, action_id: UUID) -> None:
        self._running.discard(action_id)

    async def settle(self, call: EndedCall) -> None:
        """Raises Unavailable."""
        await self._client.run(
            redis_scripts.SETTLE,
            id=str(call.action_id),
            usd=to_units(call.cost_usd),
            age_us=to_us(time.monotonic() - call.ended),
            accounts=[account_table(account) for account in call.accounts],
        )

    def settle_later(self, call: EndedCall) -> None:
        """If a call ends several times, the first end counts."""
        if len(self._unsettled) < MAX_UNSETTLED:
            self._unsettled.setdefault(call.action_id, call)
        self._ensure_task()

    async def close(self) -> None:
        if self._task is not None:
            await cancel_tasks([self._task])
        await self._settle_unsettled()

    def _ensure_task(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        renewed = time.monotonic()
        while self._running or self._unsettled:
            await asyncio.sleep(min(UPKEEP_S, self._lease_s / 3))
            await self._settle_unsettled()
            if time.monotonic() - renewed >= self._lease_s / 3:
                renewed = time.monotonic()
                await self._renew_leases()

    async def _settle_unsettled(self) -> None:
        while self._unsettled:
            calls = list(islice(self._unsettled.values(), MAX_BATCH))
            failures = await asyncio.gather(*map(self.settle, calls), return_exceptions=True)
            for call, failure in zip(calls, failures, strict=True):
                if failure is None:
                    self._unsettled.pop(call.action_id, None)
            if any(failures):
                return

    async def _renew_leases(self) -> None:
        ids = [str(action_id) for action_id in self._running]
        for start in range(0, len(ids), RENEWED_AT_ONCE):
            with contextlib.suppress(Unavailable):
                await self._client.run(
                    redis_scripts.RENEW,
                    ids=ids[start : start + RENEWED_AT_ONCE],
                    lease_us=to_us(self._lease_s),
                )
