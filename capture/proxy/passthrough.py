"""Traffic that only passes: forwarded as it comes, recorded nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

from capture.admission.charge import Charge
from capture.exchange import Outcome, new_action_id
from capture.proxy import recorded_headers
from capture.proxy.handler import Pieces, ProxyRequest, ProxyResponse, ResponseAborted
from capture.proxy.request_body import Body, as_it_comes
from capture.proxy.responses import upstream_failed
from capture.proxy.runtime import Runtime
from capture.upstream.client import Response, UpstreamCut, UpstreamError
from capture.upstream.routing import Way
from capture.wire import registry


async def pass_through(
    request: ProxyRequest,
    runtime: Runtime,
    way: Way,
    taken: Body | None = None,
    charge: Charge | None = None,
) -> ProxyResponse:
    """`taken` is what has been taken of the body; `charge` is that of a call under a budget."""
    content: bytes | AsyncIterator[bytes] | None = None
    if taken is not None and not taken.more:
        content = taken.content()
    elif request.has_body:
        request.body_taken = False
        content = upload(request, taken)
    request.cancel_when_agent_leaves()
    try:
        response = await runtime.upstream.send(
            way.destination, request.method, way.target, request.raw_headers, content
        )
    except UpstreamError as error:
        if charge is not None:
            await (charge.settle(Outcome.UPSTREAM_ERROR) if error.worked else charge.release())
        return upstream_failed(registry.by_name("raw"), new_action_id(), error)
    except BaseException:  # cancelled: the agent left, or the process is being stopped
        if charge is not None:
            runtime.finish(charge.settle(Outcome.CLIENT_LEFT))
        raise
    finally:
        if taken is not None:
            taken.discard()
    if charge is not None:
        charge.begin_response(response.status, recorded_headers.response_headers(response.headers))

    def close() -> None:
        response.close()
        if charge is not None:
            runtime.finish(charge.settle(Outcome.CLIENT_LEFT))

    return ProxyResponse(response.status, response.headers, passed(response, charge), close=close)


async def upload(request: ProxyRequest, taken: Body | None) -> AsyncIterator[bytes]:
    if taken is not None:
        content = taken.content()
        if isinstance(content, bytes):
            yield content
        else:
            async for piece in content:
                yield piece
    async for piece in as_it_comes(request.receive):
        yield piece
    request.body_taken = True


async def passed(response: Response, charge: Charge | None) -> Pieces:
    try:
        while True:
            piece = await response.piece()
            last = not piece or response.is_whole()
            if charge is not None:
                charge.add_piece(piece)
                if last:
                    await charge.settle(Outcome.COMPLETED)
            yield piece, last
            if last:
                return
    except UpstreamCut as cut:
        raise ResponseAborted from cut
