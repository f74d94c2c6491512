"""Traffic that only passes: forwarded as it comes, recorded nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

from capture.admission.charge import Charge
from capture.exchange import Outcome, new_action_id
from capture.proxy import recorded_headers
from capture.proxy.handler import AnswerAborted, Pieces, ProxyAnswer, ProxyRequest
from capture.proxy.request_body import Body, as_it_comes
from capture.proxy.responses import upstream_failed
from capture.proxy.runtime import Runtime
from capture.upstream.client import Answer, UpstreamCut, UpstreamError
from capture.upstream.routing import Way
from capture.wire import registry


async def pass_through(
    request: ProxyRequest,
    runtime: Runtime,
    way: Way,
    taken: Body | None = None,
    charge: Charge | None = None,
) -> ProxyAnswer:
    """`taken` is what has been taken of the body; `charge` is that of a call under a budget."""
    content: bytes | AsyncIterator[bytes] | None = None
    if taken is not None and not taken.more:
        content = taken.content()
    elif request.has_body:
        request.body_taken = False
        content = upload(request, taken)
    request.cancel_when_agent_leaves()
    try:
        answer = await runtime.upstream.send(
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
        charge.answered(answer.status, recorded_headers.answer_headers(answer.headers))

    def close() -> None:
        answer.close()
        if charge is not None:
            runtime.finish(charge.settle(Outcome.CLIENT_LEFT))

    return ProxyAnswer(answer.status, answer.headers, passed(answer, charge), close=close)


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


async def passed(answer: Answer, charge: Charge | None) -> Pieces:
    try:
        while True:
            piece = await answer.piece()
            last = not piece or answer.is_whole()
            if charge is not None:
                charge.piece(piece)
                if last:
                    await charge.settle(Outcome.COMPLETED)
            yield piece, last
            if last:
                return
    except UpstreamCut as cut:
        raise AnswerAborted from cut
