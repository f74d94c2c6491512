"""Rate limits and budgets as this process holds them: their state, what calls are expected to cost,
and what was spent before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal

from agentledger_site.conf import Config
from capture import price_data
from capture.admission.decision import Admitted, Asking, State
from capture.admission.expected import Expectations
from capture.admission.state import has_budgets, new_state
from capture.body import Body
from capture.charge import Charge
from capture.configured_prices import configured_prices, published_file
from capture.exchange import RequestHead
from capture.spent import SpentBefore
from capture.spool.folder import Folder


@dataclass(slots=True)
class Limiter:
    config: Config
    folder: Folder
    state: State
    expectations: Expectations | None = None  # where there are budgets, as is the rest
    spent: SpentBefore | None = None
    prices_mark: tuple[int, int] | None = None

    async def correct(self) -> None:
        if self.spent is not None:
            await self.spent.correct(self.state)

    async def tick(self) -> None:
        """Now and then."""
        if self.spent is None or self.expectations is None:
            return
        ago_s = time.time() - self.folder.recorded_until()
        self.state.recorded(ago_s)
        self.spent.recorded(ago_s)
        mark = price_data.mark(published_file(self.config))
        if mark != self.prices_mark:
            self.prices_mark = mark
            self.expectations.use(await asyncio.to_thread(configured_prices, self.config))

    async def close(self) -> None:
        await self.state.close()
        if self.spent is not None:
            self.spent.close()

    def charge_of(
        self, admitted: Admitted, asking: Asking, head: RequestHead, body: Body
    ) -> Charge | None:
        """None where no budget applies."""
        if admitted.remaining_usd is None or self.expectations is None:
            return None
        return Charge(self.state, self.expectations, asking, head, body)


def begin(config: Config, folder: Folder) -> Limiter | None:
    """Before calls are taken, while the recorder runs; None where nothing is limited."""
    if not has_budgets(config):
        state = new_state(config)
        return Limiter(config, folder, state) if state is not None else None
    mark = price_data.mark(published_file(config))
    expectations = Expectations(configured_prices(config))
    spent = SpentBefore(folder)
    spent.begin(expectations.prices)
    state = new_state(config, spent)
    assert state is not None
    return Limiter(config, folder, state, expectations, spent, mark)


def reserved_usd(admitted: Admitted, asking: Asking) -> Decimal | None:
    """For the record: None where no budget applies, or the model has no price."""
    return asking.expected_usd if admitted.remaining_usd is not None else None
