"""What was spent before, as the ledger has it: for budgets that the state meets for the first time,
or again after they were idle."""

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
    """Asks once for all the calls that wait for the same sum."""

    def __init__(self, prior_spend: SpendLookup, outage: Outage) -> None:
        self._spent_before = prior_spend
        self._outage = outage
        self._asked: dict[Account, asyncio.Task[Decimal | None]] = {}

    async def of(self, accounts: Iterable[Account]) -> dict[Account, Decimal]:
        """Without those that could not be had: the outage says why."""
        found = {account: await self._one(account) for account in accounts}
        return {account: usd for account, usd in found.items() if usd is not None}

    async def _one(self, account: Account) -> Decimal | None:
        task = self._asked.get(account)
        if task is None:
            if not self._outage.may_try():
                return None
            task = self._asked[account] = asyncio.create_task(self._ask(account))
            task.add_done_callback(lambda _: self._asked.pop(account, None))
        # A call whose agent leaves does not take the others' answer with it.
        return await asyncio.shield(task)

    async def _ask(self, account: Account) -> Decimal | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                usd = await self._spent_before(account)
        except Exception as error:  # whatever the ledger's database raises
            self._outage.begins(error)
            return None
        self._outage.ends()
        return max(usd, NOTHING)
