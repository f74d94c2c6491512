"""Traffic that is forwarded as it comes, without a record; and files, of which those with the
results of a batch are recorded: only the beginning of a file tells."""

from __future__ import annotations

from collections.abc import AsyncIterator

from capture.admission.charge import Charge
from capture.exchange import Outcome
from capture.proxy import recorded_headers
from capture.proxy.asgi_types import Chunks
from capture.proxy.begin_call import NotSpooled, RefusedCall, begin_call
from capture.proxy.forward import respond_or_abort
from capture.proxy.http_messages import ProxyRequest, ProxyResponse, ResponseAborted
from capture.proxy.incoming_call import IncomingCall
from capture.proxy.refusals import stop_response
from capture.proxy.request_body import RequestBody, stream_body
from capture.proxy.responses import log_detail, unrecordable, upstream_failed
from capture.proxy.runtime import Runtime
from capture.spool.folder import SpoolError
from capture.upstream.client import UpstreamCut, UpstreamError, UpstreamResponse
from capture.wire.formats import batch_results
from capture.wire.framing.actual_encoding import actual_content


async def pass_through(
    request: ProxyRequest,
    runtime: Runtime,
    call: IncomingCall,
    body: RequestBody | None = None,
    charge: Charge | None = None,
) -> ProxyResponse:
    """`body` is what has been read of the request's body; `charge` is that of a call under a
    budget."""
    content = content_to_send(request, body)
    request.cancel_on_hang_up()
    destination, target = call.route
    try:
        response = await runtime.upstream.send(
            destination, call.method, target, call.headers, content
        )
    except UpstreamError as error:
        if charge is not None:
            await charge.fail(may_have_worked=error.may_have_worked)
        return upstream_failed(call.wire_format, call.action_id, error)
    except BaseException:  # cancelled: the agent hung up, or the process is being stopped
        if charge is not None:
            runtime.finish(charge.settle(Outcome.CLIENT_LEFT))
        raise
    finally:
        if body is not None:
            body.discard()
    return relay_unrecorded(runtime, response, charge)


def relay_unrecorded(
    runtime: Runtime, response: UpstreamResponse, charge: Charge | None = None
) -> ProxyResponse:
    if charge is not None:
        charge.begin_response(response.status, recorded_headers.response_headers(response.headers))

    def close() -> None:
        response.close()
        if charge is not None:
            runtime.finish(charge.settle(Outcome.CLIENT_LEFT))

    chunks = download(response, charge)
    return ProxyResponse(response.status, response.headers, chunks, close=close)


def content_to_send(
    request: ProxyRequest, body: RequestBody | None
) -> bytes | AsyncIterator[bytes] | None:
    if body is not None and not body.has_more:
        return body.content()
    if not request.has_body:
        return None
    request.is_body_read = False
    return upload(request, body)


async def upload(request: ProxyRequest, body: RequestBody | None) -> AsyncIterator[bytes]:
    """Yields what has been read of a body, then the rest as it comes."""
    if body is not None:
        content = body.content()
        if isinstance(content, bytes):
            yield content
        else:
            async for chunk in content:
                yield chunk
    async for chunk in stream_body(request.receive):
        yield chunk
    request.is_body_read = True


async def download(response: UpstreamResponse, charge: Charge | None) -> Chunks:
    try:
        while True:
            chunk = await response.read_chunk()
            last = not chunk or response.is_complete()
            if charge is not None:
                charge.add_piece(chunk)
                if last:
                    await charge.settle(Outcome.COMPLETED)
            yield chunk, last
            if last:
                return
    except UpstreamCut as cut:
        raise ResponseAborted from cut


def refuse_unrecordable(runtime: Runtime, call: IncomingCall, error: SpoolError) -> ProxyResponse:
    """Refuses a call that the spool has no room for."""
    runtime.counters.refused_full += 1
    log_detail(error.summary, str(error))
    return unrecordable(call.wire_format, call.action_id, error.summary, may_retry=True)


async def forward_file(
    request: ProxyRequest, runtime: Runtime, call: IncomingCall
) -> ProxyResponse:
    """Most files pass without a record, however large they are. A stop refuses them all."""
    refusal = stop_response(runtime, call)
    if refusal is not None:
        return refusal
    request.cancel_on_hang_up()
    destination, target = call.route
    try:
        response = await runtime.upstream.send(destination, call.method, target, call.headers, None)
    except UpstreamError as error:
        return upstream_failed(call.wire_format, call.action_id, error)
    try:
        if not await _has_results(response):
            runtime.counters.passed_through += 1
            return relay_unrecorded(runtime, response)
        begun = await begin_call(runtime, call, RequestBody(b"", 0))
    except NotSpooled as error:
        if runtime.config.on_full == "pass":
            runtime.counters.unrecorded += 1
            return relay_unrecorded(runtime, response)
        response.close()
        return refuse_unrecordable(runtime, call, error)
    except BaseException:  # cancelled: the agent hung up, or the process is being stopped
        response.close()
        raise
    if isinstance(begun, RefusedCall):
        response.close()
        return begun.response
    return await respond_or_abort(request, begun, response)


async def _has_results(response: UpstreamResponse) -> bool:
    if response.status != 200:
        return False
    try:
        beginning = await response.peek()
    except UpstreamCut:
        return False  # whoever reads it finds out
    declared = dict(response.headers).get(b"content-encoding", b"").decode("latin-1")
    return batch_results.begin_results(actual_content(beginning, declared, batch_results.BEGINNING))
