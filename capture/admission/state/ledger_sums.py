"""Sums of earlier spending from the ledger: for budgets that the state meets for the first time, or
again after they were idle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal

from capture.admission.budgets import NOTHING
from capture.admission.decision import SpendLookup
from capture.admission.state.outage import Outage
from capture.ledger.accounts import Account

TIMEOUT_S = 1.0


class LedgerSums:
    """One lookup serves all calls that wait for the same sum."""

    def __init__(self, prior_spend: SpendLookup, outage: Outage) -> None:
        self._spent_before = prior_spend
        self._outage = outage
        self._lookups: dict[Account, asyncio.Task[Decimal | None]] = {}

    async def look_up(self, accounts: Iterable[Account]) -> dict[Account, Decimal]:
        """Leaves out the sums that are unavailable: the outage says why."""
        sums = {account: await self._look_up_once(account) for account in accounts}
        return {account: usd for account, usd in sums.items() if usd is not None}

    async def _look_up_once(self, account: Account) -> Decimal | None:
        task = self._lookups.get(account)
        if task is None:
            if not self._outage.may_try():
                return None
            task = self._lookups[account] = asyncio.create_task(self._look_up(account))
            task.add_done_callback(lambda _: self._lookups.pop(account, None))
        # Shielded: when one agent hangs up, the others still get their sum.
        return await asyncio.shield(task)

    async def _look_up(self, account: Account) -> Decimal | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                usd = await self._spent_before(account)
        except Exception as error:  # database drivers raise more than DatabaseError
            self._outage.begin(error)
            return None
        self._outage.end()
        return max(usd, NOTHING)
