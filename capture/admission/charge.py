"""What a call under a budget cost, as the proxy itself sees it: budgets do not wait for the
recorder. Both read the same bytes by the same rules, and come to the same cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, State
from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, datetime_from_ns
from capture.parsing.parse import parse_call
from capture.pricing.call_cost import billing_of, charge_usd, cost_of, cost_of_call
from capture.pricing.terms import BillingTerms
from capture.wire import registry
from capture.wire.formats.bedrock.usage import usage_from_headers
from capture.wire.framing.content_encoding import decode

# Of an answer; one that is longer is charged what was expected of it.
MAX_SEEN = 8 * 1024 * 1024
# More than this takes so long to understand that other calls would wait.
AT_ONCE = 256 * 1024
# Bytes of a stream before its cost is estimated the first time, in mid-stream.
FIRST_LOOK = 2 * 1024


class Seen(NamedTuple):
    """What is known of a call when it has ended."""

    usd: Decimal | None
    tokens_out: int | None = None


class Charge:
    """One call's: told what comes of it, and settled once, whichever way it ends first."""

    def __init__(
        self,
        state: State,
        estimator: CostEstimator,
        asking: AdmissionRequest,
        head: RequestHead,
        body: bytes,
        *,
        is_complete: bool,
    ) -> None:
        """`body` is what of the request's body is in memory; `is_complete`: that is all of it."""
        self._state = state
        self._estimator = estimator
        self._asking = asking
        self._exchange = Exchange(asking.action_id, request=head, body=body)
        self._has_whole_request = is_complete
        self._size = 0
        self._look_at = FIRST_LOOK
        self._held_usd = asking.expected_usd or Decimal(0)
        self._has_ended = False
        self._ending: asyncio.Future[None] | None = None  # where it takes its time

    async def is_over_budget(self) -> bool:
        """Whether a stream has cost more by now, by estimate, than it holds and can still get of
        its budgets. Looked at anew when it has grown by a quarter: all looks together cost no more
        than a few at the end."""
        if self._size < self._look_at or self._size > MAX_SEEN:
            return False
        self._look_at = max(FIRST_LOOK, self._size * 5 // 4)
        usd = self._cost_so_far()
        if usd is None or usd <= self._held_usd:
            return False
        if not await self._state.extend(self._asking, usd):
            return True
        self._held_usd = usd
        return False

    def begin_response(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._exchange.response = ResponseHead(status, headers, 0)

    def add_piece(self, piece: bytes) -> None:
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

    async def fail(self, *, may_have_worked: bool) -> None:
        """Settles a call without a response, or releases it where the upstream did no work."""
        await self._end(Outcome.UPSTREAM_ERROR if may_have_worked else None)

    async def _end(self, outcome: Outcome | None) -> None:
        """An agent that leaves meanwhile cancels the call, but not this."""
        if self._has_ended:
            if self._ending is not None:
                await asyncio.shield(self._ending)
            return
        self._has_ended = True
        if self._state.is_local and self._size <= AT_ONCE:
            await self._ended(outcome)  # it is not suspended, so nothing can come between
        else:
            self._ending = asyncio.ensure_future(self._ended(outcome))
            await asyncio.shield(self._ending)

    async def _ended(self, outcome: Outcome | None) -> None:
        usd = await self._charged_usd(outcome) if outcome is not None else None
        if usd is None:
            await self._state.release(self._asking)
        else:
            await self._state.settle(self._asking, usd)

    async def _charged_usd(self, outcome: Outcome) -> Decimal | None:
        response, expected_usd = self._exchange.response, self._asking.expected_usd
        seen = Seen(None)
        if response is not None and self._size <= MAX_SEEN:
            self._exchange.end = End(outcome, 0)
            if self._size <= AT_ONCE:
                seen = self._seen()
            else:
                seen = await asyncio.to_thread(self._seen)
        if seen.usd is not None and outcome == Outcome.COMPLETED and self._asking.model:
            wire_format = registry.by_name(self._head.wire_format)
            self._estimator.learn(wire_format, self._asking.model, seen.tokens_out, seen.usd)
        status = response.status if response else None
        return charge_usd(seen.usd, expected_usd, status=status, outcome=outcome)

    @property
    def _head(self) -> RequestHead:
        assert self._exchange.request is not None
        return self._exchange.request

    def _seen(self) -> Seen:
        exchange, head = self._exchange, self._head
        assert exchange.response is not None and exchange.end is not None
        wire_format, headers = registry.by_name(head.wire_format), dict(exchange.response.headers)
        content = decode(exchange.pieces, headers.get("content-encoding"), MAX_SEEN * 4).body
        parsed_response = wire_format.parse_response(
            content, status=exchange.response.status, content_type=headers.get("content-type", "")
        )
        usage = parsed_response.usage or usage_from_headers(headers)
        if usage is None or usage.tokens_in is None or usage.tokens_out is None:
            return self._understood()  # there is something to estimate, perhaps
        terms = BillingTerms(
            requested_model=self._asking.model,
            response_model=parsed_response.response_model,
            provider=head.provider or wire_format.PROVIDER,
            service_tier=parsed_response.service_tier,
            speed=parsed_response.speed,
            billing=billing_of(wire_format.NAME),
        )
        cost = cost_of(
            self._estimator.prices,
            usage,
            terms,
            at=datetime_from_ns(head.started_ns),
            outcome=exchange.end.outcome,
        )
        return Seen(cost.total_usd, usage.tokens_out)

    def _understood(self) -> Seen:
        """By way of the request too, as the recorder does it."""
        call = parse_call(replace(self._exchange, pieces=list(self._exchange.pieces)))
        if not self._has_whole_request and call.usage_source == "estimated":
            return Seen(None)
        tokens_out = call.usage.tokens_out if call.usage else None
        return Seen(cost_of_call(self._estimator.prices, call).total_usd, tokens_out)

    def _cost_so_far(self) -> Decimal | None:
        self._exchange.end = End(Outcome.CLIENT_LEFT, 0)
        return self._understood().usd
