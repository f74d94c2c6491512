"""The proxy: take the request → spool it → forward it → spool and hand on each piece of the answer.

A piece is in the spool before the agent has it, and the record of the end before the message that
ends the answer: what an agent received is in the ledger, whatever happens next.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from agentledger_site.conf import Config
from capture import injected_usage, kept, wire
from capture.body import Body, NoRoom, as_it_comes, taken_whole
from capture.destinations import Destination, UnknownUpstream
from capture.exchange import Outcome, RequestHead, new_action_id
from capture.injected_usage import Hider
from capture.lane import AnswerAborted, Pieces, ProxyAnswer, ProxyRequest
from capture.runtime import Runtime, running
from capture.spool.folder import SpoolError
from capture.spool.writer import Entry
from capture.upstream import Answer, UpstreamCut, UpstreamError
from capture.wire.types import WireFormat

ACTION_ID = b"x-agentledger-action-id"


async def proxy(request: ProxyRequest) -> ProxyAnswer:
    """Every request that is not for one of our own paths."""
    runtime = running()
    wire_format = recorded_as(request, runtime.config)
    try:
        way = Way(
            *runtime.destinations.of(request.path, request.target, request.raw_headers, wire_format)
        )
    except UnknownUpstream as error:
        return unknown_upstream(wire_format or wire.by_name("raw"), error)
    if wire_format is None:
        runtime.counters.passed_through += 1
        return await pass_through(request, runtime, way)
    if not runtime.writer.has_room() and runtime.config.on_full == "pass":
        runtime.counters.unrecorded += 1
        return await pass_through(request, runtime, way)
    action_id = new_action_id()
    body = None
    try:
        body = await taken_whole(request.receive, runtime.writer, action_id)
        asking = None
        if runtime.config.inject_usage:
            asking = injected_usage.asking(body.data, wire_format)
        head = request_head(request, wire_format, body, way.destination, asking is not None)
        entry = runtime.writer.begin(action_id, head, body.data)
    except SpoolError as error:
        taken = error.taken if isinstance(error, NoRoom) else body
        if runtime.config.on_full == "pass":
            runtime.counters.unrecorded += 1
            return await pass_through(request, runtime, way, taken)
        if taken is not None:
            taken.discard()
        runtime.counters.refused_full += 1
        return unrecordable(wire_format, action_id, error, may_retry=True)
    runtime.counters.calls += 1
    call = Call(action_id, wire_format, entry, runtime, way, asking)
    return await forward(request, call, body)


class Way(NamedTuple):
    """Where a request goes, and its target there."""

    destination: Destination
    target: bytes


@dataclass(slots=True)
class Call:
    """A call under way."""

    action_id: UUID
    wire_format: WireFormat
    entry: Entry
    runtime: Runtime
    way: Way
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
                raise AnswerAborted(str(error)) from error
            if not self.lost:
                self.lost = True
                self.runtime.counters.unrecorded += 1

    @property
    def id_header(self) -> tuple[bytes, bytes]:
        return (ACTION_ID, str(self.action_id).encode())


def recorded_as(request: ProxyRequest, config: Config) -> WireFormat | None:
    """The wire format of a request that is recorded; None for traffic that only passes."""
    if request.method == "POST":
        wire_format = wire.for_path(request.path)
        if wire_format is not None:
            return wire_format
    elif request.method == "GET":
        wire_format = wire.for_kept_answer(request.path)
        if wire_format is not None:
            return wire_format
    path = "/" + request.path.strip("/")
    if any(path.endswith("/" + extra) for extra in config.extra_paths):
        return wire.by_name("raw")
    return None


def request_head(
    request: ProxyRequest,
    wire_format: WireFormat,
    body: Body,
    destination: Destination,
    usage_injected: bool,
) -> RequestHead:
    return RequestHead(
        started_ns=time.time_ns(),
        method=request.method,
        path=request.path,
        target=kept.target(request.raw_path, request.query_string),
        wire_format=wire_format.NAME,
        upstream=destination.shown,
        upstream_name=destination.name,
        provider=destination.maker,
        headers=kept.request_headers(request.raw_headers),
        ledger=kept.ledger_fields(request.raw_headers),
        body_size=body.size,
        body_file=body.file is not None,
        usage_injected=usage_injected,
    )


# --- calls ---


async def forward(request: ProxyRequest, call: Call, sent: Body) -> ProxyAnswer:
    request.cancel_when_agent_leaves()
    try:
        answer = await send(request, call, sent)
    except UpstreamError as error:
        return await failed(call, error)
    except BaseException:  # cancelled: the agent left, or the process is being stopped
        call.record(call.entry.end, left_or_interrupted(request), "no answer had come yet")
        raise
    try:
        kept_headers = kept.answer_headers(answer.headers)
        headers = [*answer.headers, call.id_header]
        hides = call.asking is not None and injected_usage.is_stream(answer.headers)
        if hides:
            headers = injected_usage.without_length(headers)
        body = answer.body_at_once()
        if body is not None:
            call.record(call.entry.whole_answer, answer.status, kept_headers, body)
            await call.entry.synced()
            answer.close()
            if hides:
                body = Hider().whole(body)
            return ProxyAnswer(answer.status, headers, body=body)
        call.record(call.entry.head, answer.status, kept_headers)
    except AnswerAborted as aborted:
        answer.close()
        return unrecordable(call.wire_format, call.action_id, aborted, may_retry=False)
    except BaseException:
        answer.close()
        raise

    def close() -> None:
        """Without an end the agent has left, or the process is being stopped."""
        answer.close()
        with suppress(AnswerAborted):
            call.record(call.entry.end, left_or_interrupted(request), call.broken)

    pieces = relay(call, answer)
    return ProxyAnswer(answer.status, headers, hidden(pieces) if hides else pieces, close=close)


async def send(request: ProxyRequest, call: Call, sent: Body) -> Answer:
    """As it came; or asking for usage, and as it came where the upstream refuses that."""
    (destination, target), upstream = call.way, call.runtime.upstream
    if call.asking is not None:
        headers = injected_usage.request_headers(request.raw_headers, call.asking)
        answer = await upstream.send(destination, request.method, target, headers, call.asking)
        if answer.status != 400:
            return answer
        answer.close()
        call.asking = None
    content = sent.content()
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


async def relay(call: Call, answer: Answer) -> Pieces:
    """The upstream's bytes unchanged, each piece spooled first."""
    entry = call.entry
    left = answer.length
    last = False
    try:
        while not last:
            piece = await answer.piece()
            if left is not None:
                left -= len(piece)
            last = not piece or left == 0 or answer.is_whole()
            if piece:
                call.record(entry.piece, piece)
            if last:
                call.record(entry.end, Outcome.COMPLETED)
                await entry.synced()
            yield piece, last
    except UpstreamCut as cut:
        call.record(entry.end, Outcome.UPSTREAM_CUT, str(cut))
        raise AnswerAborted(str(cut)) from cut


def left_or_interrupted(request: ProxyRequest) -> Outcome:
    return Outcome.CLIENT_LEFT if request.agent_left else Outcome.INTERRUPTED


async def failed(call: Call, error: UpstreamError) -> ProxyAnswer:
    """The upstream gave no answer: ours, in the shape that the agent's SDK reads."""
    answer = upstream_failed(call.wire_format, call.action_id, error)
    call.record(
        call.entry.whole_answer,
        answer.status_code,
        kept.answer_headers(answer.raw_headers),
        answer.body,
        outcome=Outcome.UPSTREAM_ERROR,
        error=str(error),
        ours=True,
    )
    await call.entry.synced()
    return answer


def upstream_failed(wire_format: WireFormat, action_id: UUID, error: UpstreamError) -> ProxyAnswer:
    return error_answer(
        wire_format,
        action_id,
        status=error.status,
        message=f"AgentLedger: {error}",
        code="upstream_timeout" if error.status == 504 else "upstream_unreachable",
        # The SDKs try again by themselves; when the upstream may have worked, that would pay twice.
        may_retry=not error.worked,
    )


def error_answer(
    wire_format: WireFormat,
    action_id: UUID,
    *,
    status: int,
    message: str,
    code: str,
    may_retry: bool,
) -> ProxyAnswer:
    request_id = str(action_id)
    body = wire_format.error_body(message, type="api_error", code=code, request_id=request_id)
    encoded_id = request_id.encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", encoded_id),
        (b"request-id", encoded_id),
        (ACTION_ID, encoded_id),
    ]
    if not may_retry:
        headers.append((b"x-should-retry", b"false"))
    return ProxyAnswer(status, headers, body=body)


# --- what is not recorded ---


def unknown_upstream(wire_format: WireFormat, error: UnknownUpstream) -> ProxyAnswer:
    return error_answer(
        wire_format,
        new_action_id(),
        status=404,
        message=f"AgentLedger: {error}",
        code="unknown_upstream",
        may_retry=False,
    )


def unrecordable(
    wire_format: WireFormat, action_id: UUID, error: Exception, *, may_retry: bool
) -> ProxyAnswer:
    return error_answer(
        wire_format,
        action_id,
        status=503,
        message=f"AgentLedger: calls cannot be recorded now: {error}",
        code="ledger_full",
        may_retry=may_retry,
    )


async def pass_through(
    request: ProxyRequest, runtime: Runtime, way: Way, taken: Body | None = None
) -> ProxyAnswer:
    """Forward as it comes, recording nothing; `taken` is what has been taken of the body."""
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
        return upstream_failed(wire.by_name("raw"), new_action_id(), error)
    finally:
        if taken is not None:
            taken.discard()
    return ProxyAnswer(answer.status, answer.headers, passed(answer), close=answer.close)


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


async def passed(answer: Answer) -> Pieces:
    try:
        while True:
            piece = await answer.piece()
            last = not piece or answer.is_whole()
            yield piece, last
            if last:
                return
    except UpstreamCut as cut:
        raise AnswerAborted from cut
