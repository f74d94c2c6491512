"""The cost of a call under a budget, as the proxy itself finds it: budgets do not wait for the
recorder. Both read the same bytes by the same rules, and arrive at the same cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from capture.admission.awaited_responses import AwaitedResponses
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, State
from capture.exchange import (
    End,
    Exchange,
    Outcome,
    RequestHead,
    ResponseHead,
    datetime_from_ns,
)
from capture.parsing import tool_charges
from capture.parsing.parse import parse_call
from capture.parsing.raw_facts import outcome_of
from capture.parsing.response_body import parse_decoded
from capture.pricing.call_cost import (
    charge_usd,
    cost_of,
    cost_of_call,
    has_brought_nothing,
    terms_of,
)
from capture.wire import registry
from capture.wire.framing.actual_encoding import decode_actual
from capture.wire.limits import Limits

# Bytes of a response, as it came and decoded. A call with a longer one is charged what it reserved.
MAX_PARSED = 8 * 1024 * 1024
# A longer response, decoded, is parsed in a thread, so that other calls do not wait for it: events
# of 64 KB take 10 ms.
MAX_PARSED_INLINE = 64 * 1024
# So is a longer request, where the response has no usage. It is parsed in a millisecond.
MAX_REQUEST_INLINE = 256 * 1024
# Bytes of a stream after which its cost is first estimated in mid-stream.
FIRST_ESTIMATE_AT = 2 * 1024


_LIMITS = Limits(MAX_PARSED, "a fixed limit")
# Of their own: pages must not wait for calls, nor calls for pages.
_threads = ThreadPoolExecutor(2, thread_name_prefix="charge")


class Measured(NamedTuple):
    """The cost and output of a call according to its response; None: not known."""

    usd: Decimal | None
    tokens_out: int | None = None
    # The outcome, which the response may decide, and whether that was an error and nothing else.
    outcome: str | None = None
    brought_nothing: bool = False
    # Where the response comes later: the id by which it is fetched.
    awaited_id: str | None = None


class Charge:
    """The charge of one call. It follows the response and is settled once, by whichever end of the
    call comes first."""

    def __init__(
        self,
        state: State,
        estimator: CostEstimator,
        request: AdmissionRequest,
        head: RequestHead,
        body: bytes,
        awaited: AwaitedResponses,
        *,
        is_complete: bool,
    ) -> None:
        """`body` is the part of the request's body that is in memory; `is_complete`: that is all of
        it."""
        self._awaited = awaited
        self._state = state
        self._estimator = estimator
        self._request = request
        self._exchange = Exchange(request.action_id, request=head, body=body)
        self._has_whole_request = is_complete
        self._size = 0
        self._next_estimate_at = FIRST_ESTIMATE_AT
        self._held_usd = request.expected_usd or Decimal(0)
        self._content: bytes | None = None  # of the response that has ended, if it is small
        self._has_ended = False
        self._ending: asyncio.Future[None] | None = None  # the settling, where it takes time

    async def is_over_budget(self) -> bool:
        """Returns true if a stream has by estimate cost more than it holds, and its budgets have no
        more for it. Estimates anew each time the stream has grown by a quarter, so that all of its
        estimates together take no longer than a few of the whole stream."""
        if self._size < self._next_estimate_at or self._size > MAX_PARSED:
            return False
        self._next_estimate_at = max(FIRST_ESTIMATE_AT, self._size * 5 // 4)
        usd = await self._cost_so_far()
        if usd is None or usd <= self._held_usd or self._has_ended:
            return False
        if not await self._state.extend(self._request, usd):
            return True
        self._held_usd = usd
        return False

    def begin_response(self, status: int, headers: Iterable[tuple[str, str | None]]) -> None:
        self._exchange.response = ResponseHead(status, [*headers], 0)

    def add_piece(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= MAX_PARSED:
            self._exchange.pieces.append(piece)
            self._exchange.piece_times_ns.append(0)
        else:
            self._exchange.pieces.clear()

    async def settle(self, outcome: Outcome) -> None:
        """Spends what the call cost; it has ended, in whatever way. Later ends are ignored."""
        await self._end(outcome)

    async def release(self) -> None:
        """Gives back the reservation: the upstream never began to work on the call."""
        await self._end(None)

    async def fail(self, *, may_have_worked: bool) -> None:
        """Settles a call without a response, or releases it where the upstream did no work."""
        await self._end(Outcome.UPSTREAM_ERROR if may_have_worked else None)

    async def _end(self, outcome: Outcome | None) -> None:
        # Shielded: an agent that hangs up in the meantime cancels the call, but not this.
        if self._has_ended:
            if self._ending is not None:
                await asyncio.shield(self._ending)
            return
        self._has_ended = True
        self._content = self._decode_small()
        if self._state.is_local and self._content is not None:
            await self._settle(outcome)  # it is never suspended, so nothing can come in between
        else:
            self._ending = asyncio.ensure_future(self._settle(outcome))
            await asyncio.shield(self._ending)

    async def _settle(self, outcome: Outcome | None) -> None:
        measured = await self._measure_response(outcome) if outcome is not None else None
        if measured is not None and measured.awaited_id is not None:
            # Without the bodies: it may wait for long.
            self._exchange = Exchange(self._request.action_id, request=self._head)
            self._awaited.add(measured.awaited_id, self)
            return
        usd = self._charge_usd(measured) if measured is not None else None
        if usd is None:
            await self._state.release(self._request)
        else:
            await self._state.settle(self._request, usd)

    async def settle_as_expected(self) -> None:
        """Spends what the call was expected to cost: its response was not fetched."""
        await self._state.settle(self._request, self._request.expected_usd or Decimal(0))

    async def _measure_response(self, outcome: Outcome) -> Measured:
        response = self._exchange.response
        measured = Measured(None)
        if response is not None and self._size <= MAX_PARSED:
            self._exchange.end = End(outcome, 0)
            if self._content is not None:
                measured = self._measure(self._content)
            else:
                measured = await _in_thread(self._measure_large)
        measured = measured._replace(outcome=measured.outcome or outcome)
        if (
            measured.usd is not None
            and measured.outcome == Outcome.COMPLETED
            and self._request.model
        ):
            wire_format = registry.by_name(self._head.wire_format)
            self._estimator.learn(
                wire_format, self._request.model, measured.tokens_out, measured.usd
            )
        return measured

    def _charge_usd(self, measured: Measured) -> Decimal | None:
        response = self._exchange.response
        return charge_usd(
            measured.usd,
            self._request.expected_usd,
            status=response.status if response else None,
            outcome=measured.outcome or Outcome.COMPLETED,
            brought_nothing=measured.brought_nothing,
        )

    @property
    def _head(self) -> RequestHead:
        assert self._exchange.request is not None
        return self._exchange.request

    def _decode_small(self) -> bytes | None:
        """Returns the content of a small response to a small request; None: one of them is not
        small, or not once it is decoded."""
        if not self._is_small:
            return None
        return self._decode(MAX_PARSED_INLINE)

    @property
    def _is_small(self) -> bool:
        """Says so of what came, before anything is decoded."""
        return (
            self._size <= MAX_PARSED_INLINE
            and self._head.body_size <= MAX_REQUEST_INLINE
            and not any(name == "content-encoding" for name, _ in self._head.headers)
        )

    def _decode(self, limit: int) -> bytes | None:
        """Returns the content of the response; None if it is longer."""
        response = self._exchange.response
        declared = dict(response.headers).get("content-encoding") if response else None
        decoded = decode_actual(self._exchange.pieces, declared, limit)
        if decoded is None:
            return b"".join(self._exchange.pieces)
        return None if decoded.is_over else decoded.body

    def _measure_large(self) -> Measured:
        content = self._decode(MAX_PARSED)
        return Measured(None) if content is None else self._measure(content)

    def _measure(self, content: bytes) -> Measured:
        exchange, head = self._exchange, self._head
        assert exchange.response is not None and exchange.end is not None
        wire_format, headers = registry.by_name(head.wire_format), dict(exchange.response.headers)
        parsed_response = parse_decoded(
            wire_format,
            content,
            status=exchange.response.status,
            content_type=headers.get("content-type") or "",
            headers=headers.items(),
        )
        if parsed_response.is_pending and parsed_response.response_id is not None:
            return Measured(None, awaited_id=parsed_response.response_id)
        usage = parsed_response.usage
        if (
            usage is None
            or usage.tokens_in is None
            or usage.tokens_out is None
            or tool_charges.need_tools(wire_format.NAME, usage)
        ):  # it may be estimated from the request, or depend on it
            return self._measure_as_recorder(self._snapshot(exchange.end))
        terms = terms_of(
            wire_format.NAME,
            parsed_response,
            requested_model=self._request.model,
            response_model=parsed_response.response_model,
            provider=head.provider or wire_format.PROVIDER,
            upstream=head.upstream,
            path=head.path,
        )
        outcome = outcome_of(exchange, parsed_response)
        cost = cost_of(
            self._estimator.prices,
            usage,
            terms,
            at=datetime_from_ns(head.started_ns),
            outcome=outcome,
        )
        return Measured(cost.total_usd, usage.tokens_out, outcome)

    def _snapshot(self, end: End) -> Exchange:
        return replace(self._exchange, pieces=list(self._exchange.pieces), end=end)

    def _measure_as_recorder(self, exchange: Exchange) -> Measured:
        """Parses the request too, as the recorder does; this takes longer."""
        call = parse_call(exchange, limits=_LIMITS)
        if not self._has_whole_request and call.usage_source == "estimated":
            return Measured(None)
        return Measured(
            cost_of_call(self._estimator.prices, call).total_usd,
            call.usage.tokens_out if call.usage else None,
            call.outcome,
            has_brought_nothing(call.parsed_response, call.outcome),
        )

    async def _cost_so_far(self) -> Decimal | None:
        exchange = self._snapshot(End(Outcome.CLIENT_LEFT, 0))
        if self._is_small:
            return self._measure_as_recorder(exchange).usd
        return (await _in_thread(lambda: self._measure_as_recorder(exchange))).usd


class FetchCharge(Charge):
    """Follows a call that fetches the response which an earlier call awaits, and settles the charge
    of that one by what it has used. A call that brings no usage changes nothing."""

    def __init__(self, asked: Charge, response_id: str) -> None:
        super().__init__(
            asked._state,
            asked._estimator,
            asked._request,
            asked._head,
            b"",
            asked._awaited,
            is_complete=False,
        )
        self._response_id = response_id

    async def is_over_budget(self) -> bool:
        return False  # the work was admitted, and is done elsewhere

    async def _settle(self, outcome: Outcome | None) -> None:
        if outcome is None or self._awaited.get(self._response_id) is None:
            return
        measured = await self._measure_response(outcome)
        if measured.awaited_id is None and measured.usd is not None:
            self._awaited.pop(self._response_id)
            await self._state.settle(self._request, measured.usd)


async def _in_thread(measure: Callable[[], Measured]) -> Measured:
    return await asyncio.get_running_loop().run_in_executor(_threads, measure)
