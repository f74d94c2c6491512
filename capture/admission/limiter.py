"""The parts behind rate limits and budgets in this process: their state, cost estimates, and what
was spent before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from django.conf import settings

from capture.admission.awaited_responses import AwaitedResponses
from capture.admission.budgets import Budgets
from capture.admission.charge import Charge, FetchCharge
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, State
from capture.admission.prior_spend import PriorSpend
from capture.admission.state.factory import new_state
from capture.exchange import RequestHead
from capture.pricing.catalog import FileVersion
from capture.pricing.configured import PriceSources
from capture.spool.folder import Folder


@dataclass(slots=True)
class Limiter:
    price_sources: PriceSources
    folder: Folder
    budgets: Budgets
    state: State
    estimator: CostEstimator
    prior_spend: PriorSpend
    prices_version: FileVersion | None
    awaited: AwaitedResponses = field(default_factory=AwaitedResponses)

    @classmethod
    def begin(cls, folder: Folder, *, has_token_budgets: bool) -> Limiter:
        """Must be called before calls are taken, while the recorder runs. (What a token spent that
        gets its first budget later is read from the ledger alone.)"""
        budgets = Budgets.from_settings()
        sources = settings.AGENTLEDGER.price_sources
        version = sources.published_version()
        estimator = CostEstimator(sources.read())
        prior_spend = PriorSpend(folder)
        if budgets.is_any or has_token_budgets:
            prior_spend.begin(estimator.prices)
        state = new_state(prior_spend)
        return cls(sources, folder, budgets, state, estimator, prior_spend, version)

    async def correct(self) -> None:
        await self.prior_spend.correct(self.state)

    async def tick(self) -> None:
        """Must be called every few seconds."""
        ago_s = time.monotonic() - self.folder.recorded_until()
        self.state.mark_recorded(ago_s)
        self.prior_spend.mark_recorded(ago_s)
        for charge in self.awaited.pop_overdue():
            await charge.settle_as_expected()
        version = self.price_sources.published_version()
        if version != self.prices_version:
            self.prices_version = version
            self.estimator.use_prices(await asyncio.to_thread(self.price_sources.read))

    async def close(self) -> None:
        await self.state.close()
        self.prior_spend.close()

    def new_charge(
        self, request: AdmissionRequest, head: RequestHead, body: bytes, *, is_complete: bool
    ) -> Charge | None:
        """Returns the charge of a call that was admitted, even if only because the state was
        unavailable; None: no budget applies. Writes what the call reserves into its record."""
        if not self.budgets.apply_to(request):
            return None
        head.reserved_usd = request.expected_usd
        return Charge(
            self.state,
            self.estimator,
            request,
            head,
            body,
            self.awaited,
            is_complete=is_complete,
        )

    def fetch_charge(self, response_id: str) -> FetchCharge | None:
        """Returns the charge of a call that fetches a response; None: no budget waits for it."""
        asked = self.awaited.get(response_id)
        return None if asked is None else FetchCharge(asked, response_id)
