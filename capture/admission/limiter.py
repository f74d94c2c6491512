"""Rate limits and budgets as this process holds them: their state, what calls are expected to cost,
and what was spent before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from django.conf import settings

from capture.admission.budgets import Budgets
from capture.admission.charge import Charge
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, State
from capture.admission.prior_spend import PriorSpend
from capture.admission.state.factory import new_state
from capture.exchange import RequestHead
from capture.pricing.configured import PriceSources
from capture.spool.folder import Folder


@dataclass(slots=True)
class Limiter:
    price_sources: PriceSources
    folder: Folder
    budgets: Budgets
    state: State
    estimator: CostEstimator
    spent: PriorSpend
    prices_mark: tuple[int, int] | None

    async def correct(self) -> None:
        await self.spent.correct(self.state)

    async def tick(self) -> None:
        """Now and then."""
        ago_s = time.time() - self.folder.recorded_until()
        self.state.mark_recorded(ago_s)
        self.spent.mark_recorded(ago_s)
        mark = self.price_sources.published_mark()
        if mark != self.prices_mark:
            self.prices_mark = mark
            self.estimator.use(await asyncio.to_thread(self.price_sources.read))

    async def close(self) -> None:
        await self.state.close()
        self.spent.close()

    def new_charge(
        self, asking: AdmissionRequest, head: RequestHead, body: bytes, *, is_complete: bool
    ) -> Charge | None:
        """Of a call that was admitted, be it because nobody could be asked; None where no budget
        applies. What it holds is on its record."""
        if not self.budgets.apply_to(asking):
            return None
        head.reserved_usd = asking.expected_usd
        return Charge(self.state, self.estimator, asking, head, body, is_complete=is_complete)


def begin(folder: Folder, *, any_token_budget: bool) -> Limiter:
    """Before calls are taken, while the recorder runs. What a token has spent that is made later is
    in the ledger alone."""
    budgets = Budgets.from_settings()
    sources = settings.AGENTLEDGER.price_sources
    mark = sources.published_mark()
    estimator = CostEstimator(sources.read())
    spent = PriorSpend(folder)
    if budgets.is_any or any_token_budget:
        spent.begin(estimator.prices)
    return Limiter(sources, folder, budgets, new_state(spent), estimator, spent, mark)
