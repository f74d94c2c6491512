"""Rate limits and budgets as this process holds them: their state, what calls are expected to cost,
and what was spent before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from agentledger_site.conf import Config
from capture import price_data
from capture.admission.budgets import Budgets
from capture.admission.decision import Asking, State
from capture.admission.expected import Expectations
from capture.admission.state import new_state
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
    budgets: Budgets
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

    def charge_of(self, asking: Asking, head: RequestHead, body: Body) -> Charge | None:
        """Of a call that was admitted, be it because nobody could be asked; None where no budget
        applies. What it holds is on its record."""
        if self.expectations is None or not self.budgets.apply_to(asking):
            return None
        head.reserved_usd = asking.expected_usd
        return Charge(self.state, self.expectations, asking, head, body)


def begin(config: Config, folder: Folder) -> Limiter | None:
    """Before calls are taken, while the recorder runs; None where nothing is limited."""
    budgets = Budgets.from_config(config)
    if not budgets.is_any:
        state = new_state(config)
        return Limiter(config, folder, budgets, state) if state is not None else None
    mark = price_data.mark(published_file(config))
    expectations = Expectations(configured_prices(config))
    spent = SpentBefore(folder)
    spent.begin(expectations.prices)
    state = new_state(config, spent)
    assert state is not None
    return Limiter(config, folder, budgets, state, expectations, spent, mark)
