"""Forwards a call, and spools each chunk of the response before it goes to the agent.

The record of the end is written before the message that ends the response: what an agent received
is in the ledger, whatever happens next.
"""

from __future__ import annotations

from contextlib import suppress

from capture.exchange import Outcome
from capture.proxy import recorded_headers, usage_injection
from capture.proxy.asgi_types import Chunks
from capture.proxy.forwarded_call import ForwardedCall
from capture.proxy.http_messages import ProxyRequest, ProxyResponse, ResponseAborted
from capture.proxy.midstream import BUDGET_USED_UP, budget_error_event, can_follow
from capture.proxy.request_body import RequestBody
from capture.proxy.responses import unrecordable, upstream_failed
from capture.proxy.usage_injection import UsageHider
from capture.upstream.client import UpstreamCut, UpstreamError, UpstreamResponse


async def forward(request: ProxyRequest, call: ForwardedCall, body: RequestBody) -> ProxyResponse:
    request.cancel_on_hang_up()
    try:
        response = await send(request, call, body)
    except UpstreamError as error:
        return await respond_without_upstream(call, error)
    except BaseException:  # cancelled: the agent hung up, or the process is being stopped
        outcome = outcome_of_cancellation(request)
        call.settle_later(outcome)
        call.record(call.entry.end, outcome, "no response had arrived yet")
        raise
    return await respond_or_abort(request, call, response)


async def respond_or_abort(
    request: ProxyRequest, call: ForwardedCall, response: UpstreamResponse
) -> ProxyResponse:
    """Returns the upstream's response, or our own where the spool failed."""
    try:
        return await respond(request, call, response)
    except ResponseAborted as aborted:
        call.settle_later(Outcome.INTERRUPTED)
        response.close()
        incoming = call.incoming
        return unrecordable(incoming.wire_format, incoming.action_id, str(aborted), may_retry=False)
    except BaseException:  # cancelled, as above
        call.settle_later(outcome_of_cancellation(request))
        response.close()
        raise


async def send(request: ProxyRequest, call: ForwardedCall, body: RequestBody) -> UpstreamResponse:
    """Sends the request with the option that asks for usage, where that is wanted, and unchanged if
    the upstream refuses the option or it is not wanted."""
    incoming, upstream = call.incoming, call.runtime.upstream
    (destination, target), method = incoming.route, incoming.method
    if call.body_with_usage is not None:
        headers = usage_injection.request_headers(incoming.headers, call.body_with_usage)
        response = await upstream.send(destination, method, target, headers, call.body_with_usage)
        if response.status != 400:
            return response
        response.close()
        call.body_with_usage = None
    # No body and an empty one are different requests: the upstream gets the one that we got.
    content = body.content() if request.has_body or body.size else None
    return await upstream.send(destination, method, target, incoming.headers, content)


async def respond(
    request: ProxyRequest, call: ForwardedCall, response: UpstreamResponse
) -> ProxyResponse:
    """Returns the upstream's response, to be sent at once where all of it is there, or in chunks.
    Raises ResponseAborted."""
    kept_headers = recorded_headers.response_headers(response.headers)
    headers = [*response.headers, *call.own_headers()]
    if call.charge is not None:
        call.charge.begin_response(response.status, kept_headers)
    hides_usage = call.body_with_usage is not None and usage_injection.is_stream(response.headers)
    if hides_usage:
        headers = usage_injection.without_length(headers)
    body = response.body_if_complete()
    if body is not None:
        call.record(call.entry.write_response, response.status, kept_headers, body)
        if call.charge is not None:
            call.charge.add_piece(body)
            await call.charge.settle(Outcome.COMPLETED)
        await call.entry.sync()
        response.close()
        if hides_usage:
            body = UsageHider().feed_last(body)
        return ProxyResponse(response.status, headers, body=body)
    call.record(call.entry.write_head, response.status, kept_headers)

    def close() -> None:
        """Ends the call's record: without an end, the agent hung up or we are being stopped."""
        response.close()
        outcome = outcome_of_cancellation(request)
        call.settle_later(outcome)
        with suppress(ResponseAborted):
            call.record(call.entry.end, outcome, call.spool_failure)

    chunks = relay(call, response, budget_error_event(call, response))
    if hides_usage:
        chunks = usage_injection.hide_usage(chunks)
    return ProxyResponse(response.status, headers, chunks, close=close)


async def relay(
    call: ForwardedCall, response: UpstreamResponse, budget_error: bytes | None
) -> Chunks:
    """Yields the upstream's bytes unchanged, each chunk spooled first. `budget_error` ends a stream
    that exceeds its budget; None: such a stream goes on."""
    entry = call.entry
    left = response.length
    last = False
    try:
        while not last:
            chunk = await response.read_chunk()
            if left is not None:
                left -= len(chunk)
            last = not chunk or left == 0 or response.is_complete()
            if chunk:
                call.record(entry.write_piece, chunk)
                if call.charge is not None:
                    call.charge.add_piece(chunk)
            if budget_error and not last and await exceeds_budget(call, budget_error, chunk):
                yield chunk, False
                call.record(entry.write_piece, budget_error)
                await end_over_budget(call, response)
                yield budget_error, True
                return
            if last:
                call.record(entry.end, Outcome.COMPLETED)
                if call.charge is not None:
                    await call.charge.settle(Outcome.COMPLETED)
                await entry.sync()
            yield chunk, last
    except UpstreamCut as cut:
        call.settle_later(Outcome.UPSTREAM_CUT)
        call.record(entry.end, Outcome.UPSTREAM_CUT, str(cut))
        raise ResponseAborted(str(cut)) from cut


async def exceeds_budget(call: ForwardedCall, budget_error: bytes, chunk: bytes) -> bool:
    """Returns whether the stream is over its budget at a place where the error can be inserted."""
    if call.charge is None or not can_follow(budget_error, chunk):
        return False
    return await call.charge.is_over_budget()


async def end_over_budget(call: ForwardedCall, response: UpstreamResponse) -> None:
    call.record(call.entry.end, Outcome.UPSTREAM_ERROR, BUDGET_USED_UP)
    response.close()  # the upstream need not go on
    if call.charge is not None:
        await call.charge.settle(Outcome.CLIENT_LEFT)
    await call.entry.sync()


def outcome_of_cancellation(request: ProxyRequest) -> Outcome:
    return Outcome.CLIENT_LEFT if request.agent_hung_up else Outcome.INTERRUPTED


async def respond_without_upstream(call: ForwardedCall, error: UpstreamError) -> ProxyResponse:
    """Returns our own response where the upstream gave none, in the shape that the agent's SDK
    reads."""
    incoming = call.incoming
    response = upstream_failed(incoming.wire_format, incoming.action_id, error)
    if call.charge is not None:
        await call.charge.fail(may_have_worked=error.may_have_worked)
    call.record(
        call.entry.write_response,
        response.status_code,
        recorded_headers.response_headers(response.raw_headers),
        response.body,
        outcome=Outcome.UPSTREAM_ERROR,
        error=str(error),
        is_ours=True,
    )
    await call.entry.sync()
    return response
