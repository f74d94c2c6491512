"""What a call under a budget cost, as the proxy itself sees it: budgets do not wait for the
recorder. Both read the same bytes by the same rules, and come to the same cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from capture.admission.decision import Admitted, Asking, State
from capture.body import Body
from capture.call_cost import cost_of_call
from capture.exchange import AnswerHead, End, Exchange, Outcome, RequestHead
from capture.pricing import Prices
from capture.understand import understand

if TYPE_CHECKING:
    from capture.admission.admit import Admission

# Of an answer; one that is longer is charged what was expected of it.
MAX_SEEN = 8 * 1024 * 1024
# More than this takes so long to understand that other calls would wait.
AT_ONCE = 256 * 1024
# Bytes of a stream before its cost is estimated the first time, in mid-stream.
FIRST_LOOK = 2 * 1024


def charge_of(
    admission: Admission, admitted: Admitted, asking: Asking, head: RequestHead, body: Body
) -> Charge | None:
    """None where no budget applies."""
    if admitted.remaining_usd is None or admission.state is None or admission.prices is None:
        return None
    return Charge(admission.state, admission.prices, asking, head, body)


class Charge:
    """One call's: told what comes of it, and settled once, whichever way it ends first."""

    def __init__(
        self, state: State, prices: Prices, asking: Asking, head: RequestHead, body: Body
    ) -> None:
        self._state = state
        self._prices = prices
        self._asking = asking
        self._exchange = Exchange(asking.action_id, request=head, body=body.data)
        self._lacks_request = body.file is not None or body.more
        self._size = 0
        self._look_at = FIRST_LOOK
        self._ending: asyncio.Future[None] | None = None

    def is_over(self, left_usd: Decimal) -> bool:
        """Whether a stream has cost more than this by now, by estimate. Looked at anew when it has
        grown by a quarter: all looks together cost no more than a few at the end."""
        if self._size < self._look_at or self._size > MAX_SEEN:
            return False
        self._look_at = max(FIRST_LOOK, self._size * 5 // 4)
        seen = replace(self._exchange, pieces=list(self._exchange.pieces))
        seen.end = End(Outcome.CLIENT_LEFT, 0)
        cost_usd = cost_of_call(self._prices, understand(seen)).total_usd
        return cost_usd is not None and cost_usd > left_usd

    def answered(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._exchange.answer = AnswerHead(status, headers, 0)

    def piece(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= MAX_SEEN:
            self._exchange.pieces.append(piece)
            self._exchange.piece_times_ns.append(0)
        else:
            self._exchange.pieces.clear()

    async def settle(self, outcome: Outcome) -> None:
        """The call has ended, however; what it cost is spent. Later endings are ignored."""
        await self._end(outcome)

    async def release(self) -> None:
        """The upstream never began to work on the call."""
        await self._end(None)

    async def _end(self, outcome: Outcome | None) -> None:
        """An agent that leaves meanwhile cancels the call, but not this."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._ended(outcome))
        await asyncio.shield(self._ending)

    async def _ended(self, outcome: Outcome | None) -> None:
        cost_usd = await self._cost_usd(outcome) if outcome is not None else None
        if cost_usd is None:
            await self._state.release(self._asking)
        else:
            await self._state.settle(self._asking, cost_usd)

    async def _cost_usd(self, outcome: Outcome) -> Decimal | None:
        """None: nobody asks money for it, or how much is not known."""
        exchange = self._exchange
        answer = exchange.answer
        if answer is None or self._size > MAX_SEEN:
            return self._asking.expected_usd
        exchange.end = End(outcome, 0)
        if self._size <= AT_ONCE:
            cost_usd = self._understood()
        else:
            cost_usd = await asyncio.to_thread(self._understood)
        if cost_usd is None and outcome != Outcome.COMPLETED and answer.status < 400:
            # Cut before it said anything: to hang up early is no way round a budget.
            return self._asking.expected_usd
        return cost_usd

    def _understood(self) -> Decimal | None:
        call = understand(self._exchange)
        if self._lacks_request and call.usage_source == "estimated":
            return self._asking.expected_usd
        return cost_of_call(self._prices, call).total_usd
