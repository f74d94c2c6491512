"""A recorded call under way: forward it, and spool and hand on each piece of the answer.

A piece is in the spool before the agent has it, and the record of the end before the message that
ends the answer: what an agent received is in the ledger, whatever happens next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from capture.admission.charge import Charge
from capture.exchange import Outcome
from capture.proxy import recorded_headers, usage_injection
from capture.proxy.handler import Pieces, ProxyRequest, ProxyResponse, ResponseAborted
from capture.proxy.request_body import Body
from capture.proxy.responses import ACTION_ID, unrecordable, upstream_failed
from capture.proxy.runtime import Runtime
from capture.proxy.usage_injection import Hider
from capture.spool.folder import SpoolError
from capture.spool.writer import Entry
from capture.upstream.client import Response, UpstreamCut, UpstreamError
from capture.upstream.routing import Way
from capture.wire.stream_error import error_event
from capture.wire.types import WireFormat

REMAINING = b"x-agentledger-budget-remaining-usd"
TOO_DEAR = "this stream has cost what was left of its budget, and was ended"


@dataclass(slots=True)
class Call:
    """A call under way."""

    action_id: UUID
    wire_format: WireFormat
    entry: Entry
    runtime: Runtime
    way: Way
    charge: Charge | None = None  # None: no budget applies
    remaining_usd: Decimal | None = None  # of the budget that has the least left
    asking: bytes | None = None  # the body that asks for usage too, if the operator wants that
    lost: bool = False  # the spool broke in the middle of it, and the operator lets it go on
    broken: str | None = None  # the spool broke, and the answer with it

    def record(self, write: Callable[..., None], *facts: Any, **more: Any) -> None:
        """Spool a record of the answer. Raises AnswerAborted when that cannot be: what is not in
        the spool, the agent must not have, unless the operator said so."""
        try:
            write(*facts, **more)
        except SpoolError as error:
            if self.runtime.config.on_full == "block":
                self.broken = str(error)
                raise ResponseAborted(str(error)) from error
            if not self.lost:
                self.lost = True
                self.runtime.counters.unrecorded += 1

    def settle_later(self, outcome: Outcome) -> None:
        """Where nobody can wait for it: the agent left."""
        if self.charge is not None:
            self.runtime.finish(self.charge.settle(outcome))

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Ours, on the upstream's answer."""
        own = [(ACTION_ID, str(self.action_id).encode())]
        if self.remaining_usd is not None:
            own.append((REMAINING, f"{self.remaining_usd.normalize():f}".encode()))
        return own


async def forward(request: ProxyRequest, call: Call, sent: Body) -> ProxyResponse:
    request.cancel_when_agent_leaves()
    try:
        response = await send(request, call, sent)
    except UpstreamError as error:
        return await failed(call, error)
    except BaseException:  # cancelled: the agent left, or the process is being stopped
        call.settle_later(left_or_interrupted(request))
        call.record(call.entry.end, left_or_interrupted(request), "no answer had come yet")
        raise
    try:
        kept_headers = recorded_headers.response_headers(response.headers)
        headers = [*response.headers, *call.headers]
        if call.charge is not None:
            call.charge.begin_response(response.status, kept_headers)
        hides = call.asking is not None and usage_injection.is_stream(response.headers)
        if hides:
            headers = usage_injection.without_length(headers)
        body = response.body_at_once()
        if body is not None:
            call.record(call.entry.whole_response, response.status, kept_headers, body)
            if call.charge is not None:
                call.charge.add_piece(body)
                await call.charge.settle(Outcome.COMPLETED)
            await call.entry.synced()
            response.close()
            if hides:
                body = Hider().whole(body)
            return ProxyResponse(response.status, headers, body=body)
        call.record(call.entry.head, response.status, kept_headers)
    except ResponseAborted as aborted:
        call.settle_later(Outcome.INTERRUPTED)
        response.close()
        return unrecordable(call.wire_format, call.action_id, aborted, may_retry=False)
    except BaseException:
        call.settle_later(left_or_interrupted(request))
        response.close()
        raise

    def close() -> None:
        """Without an end the agent has left, or the process is being stopped."""
        response.close()
        call.settle_later(left_or_interrupted(request))
        with suppress(ResponseAborted):
            call.record(call.entry.end, left_or_interrupted(request), call.broken)

    pieces = relay(call, response, midstream_error(call, response))
    return ProxyResponse(response.status, headers, hidden(pieces) if hides else pieces, close=close)


def midstream_error(call: Call, response: Response) -> bytes | None:
    """The event that would end this stream; None where the operator wants none, or none can be put
    in: into a body whose length was told, or that is compressed."""
    ends = call.charge is not None and call.runtime.config.budget_midstream
    if not ends or response.length is not None:
        return None
    headers = dict(response.headers)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        return None
    return error_event(
        call.wire_format.NAME,
        headers.get(b"content-type", b"").decode("latin-1"),
        f"AgentLedger: {TOO_DEAR}",
        type="rate_limit_error"
        if call.wire_format.PROVIDER == "anthropic"
        else "insufficient_quota",
        code="budget_exceeded",
        request_id=str(call.action_id),
    )


def ends_event(piece: bytes, event: bytes) -> bool:
    """Whether `event` can follow: elsewhere it would be read as a part of another one."""
    return piece.endswith(b"\n" if event.startswith(b"{") else (b"\n\n", b"\r\n\r\n"))


async def send(request: ProxyRequest, call: Call, sent: Body) -> Response:
    """As it came; or asking for usage, and as it came where the upstream refuses that."""
    (destination, target), upstream = call.way, call.runtime.upstream
    if call.asking is not None:
        headers = usage_injection.request_headers(request.raw_headers, call.asking)
        response = await upstream.send(destination, request.method, target, headers, call.asking)
        if response.status != 400:
            return response
        response.close()
        call.asking = None
    # Of no body and an empty one the upstream is told as we were.
    content = sent.content() if request.has_body or sent.size else None
    return await upstream.send(destination, request.method, target, request.raw_headers, content)


async def hidden(pieces: Pieces) -> Pieces:
    """Without the chunk that the agent did not ask for."""
    hider = Hider()
    try:
        async for piece, last in pieces:
            shown = hider.whole(piece) if last else hider.feed(piece)
            if shown or last:
                yield shown, last
    finally:
        await pieces.aclose()


async def relay(call: Call, response: Response, too_dear: bytes | None) -> Pieces:
    """The upstream's bytes unchanged, each piece spooled first. `too_dear` is what ends a stream
    that passes its budget; None: it may."""
    entry = call.entry
    left = response.length
    last = False
    try:
        while not last:
            piece = await response.piece()
            if left is not None:
                left -= len(piece)
            last = not piece or left == 0 or response.is_whole()
            if piece:
                call.record(entry.piece, piece)
                if call.charge is not None:
                    call.charge.add_piece(piece)
            if (
                too_dear
                and call.charge is not None
                and not last
                and ends_event(piece, too_dear)
                and await call.charge.is_over_budget()
            ):
                yield piece, False
                call.record(entry.piece, too_dear)
                call.record(entry.end, Outcome.UPSTREAM_ERROR, TOO_DEAR)
                response.close()  # the upstream need not go on
                await call.charge.settle(Outcome.CLIENT_LEFT)
                await entry.synced()
                yield too_dear, True
                return
            if last:
                call.record(entry.end, Outcome.COMPLETED)
                if call.charge is not None:
                    await call.charge.settle(Outcome.COMPLETED)
                await entry.synced()
            yield piece, last
    except UpstreamCut as cut:
        call.settle_later(Outcome.UPSTREAM_CUT)
        call.record(entry.end, Outcome.UPSTREAM_CUT, str(cut))
        raise ResponseAborted(str(cut)) from cut


def left_or_interrupted(request: ProxyRequest) -> Outcome:
    return Outcome.CLIENT_LEFT if request.agent_left else Outcome.INTERRUPTED


async def failed(call: Call, error: UpstreamError) -> ProxyResponse:
    """The upstream gave no answer: ours, in the shape that the agent's SDK reads."""
    response = upstream_failed(call.wire_format, call.action_id, error)
    if call.charge is not None:
        ending = (
            call.charge.settle(Outcome.UPSTREAM_ERROR) if error.worked else call.charge.release()
        )
        await ending
    call.record(
        call.entry.whole_response,
        response.status_code,
        recorded_headers.response_headers(response.raw_headers),
        response.body,
        outcome=Outcome.UPSTREAM_ERROR,
        error=str(error),
        ours=True,
    )
    await call.entry.synced()
    return response
