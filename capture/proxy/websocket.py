"""WebSockets to the provider, bridged message by message both ways.

As over HTTP, what an agent has is in the spool before: a turn's request before the provider gets
the message that begins it, each of its messages before the agent does. Each turn is a call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from capture.admission.charge import Charge
from capture.admission.decision import Refused
from capture.exchange import Outcome, RequestHead, new_action_id
from capture.proxy import recorded_headers
from capture.proxy.refusal_response import refusal_response
from capture.proxy.refusals import refuse, told
from capture.proxy.request_body import Body
from capture.proxy.runtime import Ended, Runtime, running
from capture.spool.folder import SpoolError
from capture.spool.writer import Entry
from capture.upstream.client import RawHeaders, UpstreamError
from capture.upstream.routing import Destination, UnknownUpstream
from capture.upstream.websocket_client import Denied, connected, headers_for_agent
from capture.wire import registry
from capture.wire.request_summary import glance
from capture.wire.sockets.turns import Begins, Comes, Step, Turns
from capture.wire.types import WireFormat

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# RFC 6455 section 7.4.1, and the registry it founded.
NORMAL, POLICY, INTERNAL_ERROR, RESTART, TRY_AGAIN_LATER = 1000, 1008, 1011, 1012, 1013
# Codes that stand for a missing close frame or an empty one: they are never sent.
NO_CODE, NO_FRAME = 1005, 1006
LONGEST_REASON = 123  # bytes


class Closed(Exception):
    """One side has closed: the other is to be closed likewise."""

    def __init__(self, outcome: Outcome, code: int, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.code, self.reason = outcome, code, reason


async def bridge(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket of ASGI, from its handshake to its end."""
    await receive()  # websocket.connect
    path: str = scope["path"]
    headers: RawHeaders = scope["headers"]
    found = registry.for_socket(path.strip("/"))
    wire_format = found[0] if found else registry.by_name("raw")
    target = scope.get("raw_path") or path.encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    fields = recorded_headers.ledger_fields(headers)
    try:
        runtime = running()
        refused = _refusal(runtime, headers, fields)
        if refused is not None:
            response = refusal_response(wire_format, new_action_id(), refused)
            await deny(scope, send, response.status_code, response.raw_headers, response.body)
            return
        runtime.admission.ingest.add_token_field(headers, fields)
        destination, target = runtime.destinations.of(
            path, target, headers, found[0] if found else None
        )
    except (UnknownUpstream, Ended) as error:
        status = 404 if isinstance(error, UnknownUpstream) else 503
        message = str(error) or "it is being restarted"
        await _deny_ourselves(scope, send, wire_format, status, message)
        return
    recording = _Recording(runtime, scope, wire_format, destination, target, fields)
    recording.turns = found[1]() if found else None
    try:
        upstream = await connected(
            destination,
            target,
            headers,
            scope["subprotocols"],
            timeout_s=runtime.config.upstream_connect_timeout_s,
            trust_env=runtime.config.upstream_trust_env,
        )
    except Denied as denied:
        recording.failed(denied.status, denied.headers, denied.body)
        await deny(scope, send, denied.status, denied.headers, denied.body)
        return
    except UpstreamError as error:
        body = await _deny_ourselves(scope, send, wire_format, error.status, str(error))
        recording.failed(error.status, [], body, error=str(error))
        return
    if found is None:
        runtime.counters.passed_through += 1
    assert upstream.response is not None
    recording.headers = headers_for_agent(list(upstream.response.headers.raw_items()))
    try:
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": upstream.subprotocol,
                "headers": recording.headers,
            }
        )
        await _bridged(upstream, receive, send, recording)
    finally:
        recording.end(Outcome.INTERRUPTED)
        upstream.transport.abort()


def _refusal(runtime: Runtime, headers: RawHeaders, fields: dict[str, str]) -> Refused | None:
    """Of the handshake. Its turns are looked at one by one."""
    no_entry = runtime.admission.check_key(headers)
    if no_entry is not None:
        runtime.counters.refused_keys += 1
        return no_entry
    stopped = runtime.admission.check_stops(fields)
    if stopped is not None:
        runtime.counters.refused += 1
    return stopped


async def _bridged(
    upstream: ClientConnection, receive: Receive, send: Send, recording: _Recording
) -> None:
    up = asyncio.create_task(_from_agent(upstream, receive, recording))
    down = asyncio.create_task(_from_upstream(upstream, send, recording))
    try:
        done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        # Where both have ended the agent's side says more.
        error = (up if up in done else down).exception()
    except asyncio.CancelledError:
        with suppress(Exception):
            await send({"type": "websocket.close", "code": RESTART, "reason": ""})
        raise
    finally:
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
    if not isinstance(error, Closed):
        assert error is not None
        raise error
    recording.end(error.outcome, error.reason or None)
    if error.outcome == Outcome.CLIENT_LEFT:
        if error.code == NO_FRAME:
            return
        await upstream.close(_sendable(error.code), error.reason)
    else:
        reason = error.reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        code = _sendable(error.code)
        await send({"type": "websocket.close", "code": code, "reason": reason})
        if error.outcome == Outcome.INTERRUPTED:
            await upstream.close(code)


async def _from_agent(upstream: ClientConnection, receive: Receive, recording: _Recording) -> None:
    """Raises Closed."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code, reason = message.get("code") or NO_CODE, message.get("reason") or ""
            raise Closed(Outcome.CLIENT_LEFT, code, reason)
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        await recording.sent(data if text is None else text.encode())
        try:
            await upstream.send(data if text is None else text)
        except ConnectionClosed:
            # What it sent before it closed is still to be handed on; that side says why it closed.
            await asyncio.Event().wait()


async def _from_upstream(upstream: ClientConnection, send: Send, recording: _Recording) -> None:
    """Raises Closed."""
    while True:
        try:
            message = await upstream.recv()
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                reason = "the upstream cut the connection"
                raise Closed(Outcome.UPSTREAM_CUT, INTERNAL_ERROR, reason) from None
            raise Closed(Outcome.UPSTREAM_CUT, closed.rcvd.code, closed.rcvd.reason) from None
        if isinstance(message, str):
            await recording.came(message.encode())
            await send({"type": "websocket.send", "text": message})
        else:
            await recording.came(message)
            await send({"type": "websocket.send", "bytes": message})


def _sendable(code: int) -> int:
    return NORMAL if code == NO_CODE else code


class _Turn(NamedTuple):
    """A call under way."""

    entry: Entry
    charge: Charge | None  # None: no budget applies


class _Recording:
    """The calls of one connection."""

    def __init__(
        self,
        runtime: Runtime,
        scope: Scope,
        wire_format: WireFormat,
        destination: Destination,
        target: bytes,
        fields: dict[str, str],
    ) -> None:
        self.turns: Turns | None = None
        self.headers: RawHeaders = []
        self._runtime = runtime
        self._scope = scope
        self._wire_format = wire_format
        self._destination = destination
        raw_path, _, query = target.partition(b"?")
        self._target = recorded_headers.target(raw_path, query)
        self._fields = fields
        self._open: dict[int, _Turn] = {}

    async def sent(self, message: bytes) -> None:
        """Raises Closed where a turn is refused, or cannot be recorded and so must not be."""
        if self.turns is not None:
            await self._take(self.turns.sent(message))

    async def came(self, message: bytes) -> None:
        """Raises Closed."""
        if self.turns is not None:
            for turn in await self._take(self.turns.came(message)):
                if turn.charge is not None:
                    await turn.charge.settle(Outcome.COMPLETED)
                await turn.entry.synced()

    async def _take(self, steps: list[Step]) -> list[_Turn]:
        """The turns that have ended."""
        ended = []
        try:
            for step in steps:
                if isinstance(step, Begins):
                    await self._begin(step)
                elif (turn := self._open.get(step.turn)) is None:
                    continue  # it could not be recorded, and was to go on
                elif isinstance(step, Comes):
                    turn.entry.piece(step.piece)
                    if turn.charge is not None:
                        turn.charge.add_piece(step.piece)
                else:
                    self._close(step.turn, Outcome.COMPLETED)
                    ended.append(turn)
        except SpoolError as error:
            counters = self._runtime.counters
            if self._runtime.config.on_full == "pass":
                counters.unrecorded += 1
                self.end(Outcome.INTERRUPTED, str(error))
            else:
                counters.refused_full += 1
                reason = f"AgentLedger: calls cannot be recorded now: {error}"
                raise Closed(Outcome.INTERRUPTED, TRY_AGAIN_LATER, reason) from error
        return ended

    async def _begin(self, begins: Begins) -> None:
        admission, limiter = self._runtime.admission, self._runtime.limiter
        action_id, body = new_action_id(), Body(begins.body, len(begins.body))
        looked = None
        if admission.inspects_bodies:
            looked = glance(begins.body, self._wire_format, path=self._scope["path"])
        admission_request = admission.new_request(
            action_id, self._fields, looked, self._wire_format, self._destination.provider
        )
        decision = await admission.admit(admission_request, self._fields, looked)
        head = self._head(begins.body)
        head.budget_warning = told(decision.warnings)
        if isinstance(decision, Refused):
            await refuse(self._runtime, action_id, head, body, decision, looked)
            raise Closed(Outcome.INTERRUPTED, POLICY, f"AgentLedger: {decision.message}")
        charge = limiter.new_charge(admission_request, head, begins.body, is_complete=True)
        # Its messages are kept as the events of a stream.
        headers = [
            *recorded_headers.response_headers(self.headers),
            ("content-type", "text/event-stream"),
        ]
        try:
            entry = self._entry(action_id, head, begins.body)
            entry.head(101, headers)
        except SpoolError:
            if charge is not None:
                await charge.release()
            raise
        if charge is not None:
            charge.begin_response(101, headers)
        self._open[begins.turn] = _Turn(entry, charge)
        self._runtime.call_begins()

    def _entry(self, action_id: UUID, head: RequestHead, body: bytes) -> Entry:
        self._runtime.counters.calls += 1
        return self._runtime.writer.begin(action_id, head, body)

    def _head(self, body: bytes) -> RequestHead:
        headers: RawHeaders = self._scope["headers"]
        return RequestHead(
            started_ns=time.time_ns(),
            method="GET",
            path=self._scope["path"],
            target=self._target,
            wire_format=self._wire_format.NAME,
            upstream=self._destination.shown,
            upstream_name=self._destination.name,
            provider=self._destination.provider,
            headers=[
                (name, value)
                for name, value in recorded_headers.request_headers(headers)
                if name not in ("content-type", "content-encoding")
            ],
            ledger=self._fields,
            body_size=len(body),
            body_file=False,
        )

    def _close(self, turn: int, outcome: Outcome, error: str | None = None) -> None:
        """Where it is under a budget, one that is complete is settled by whoever closes it."""
        closed = self._open.pop(turn)
        self._runtime.call_ends()
        if closed.charge is not None and outcome != Outcome.COMPLETED:
            self._runtime.finish(closed.charge.settle(outcome))
        closed.entry.end(outcome, error)

    def failed(
        self, status: int, headers: RawHeaders, body: bytes, *, error: str | None = None
    ) -> None:
        """The upstream gave no WebSocket: that is a call too, which failed. `error`: `body` is
        ours."""
        if self.turns is None:
            return
        with suppress(SpoolError):
            outcome = Outcome.COMPLETED if error is None else Outcome.UPSTREAM_ERROR
            self._entry(new_action_id(), self._head(b"{}"), b"{}").whole_response(
                status,
                recorded_headers.response_headers(headers),
                body,
                outcome=outcome,
                error=error,
                ours=error is not None,
            )

    def end(self, outcome: Outcome, error: str | None = None) -> None:
        """Of all turns that are not complete."""
        for turn in list(self._open):
            with suppress(SpoolError):
                self._close(turn, outcome, error)


async def _deny_ourselves(
    scope: Scope, send: Send, wire_format: WireFormat, status: int, message: str
) -> bytes:
    """The body of the answer."""
    body = wire_format.error_body(
        f"AgentLedger: {message}", type="api_error", code="no_websocket", request_id=""
    )
    await deny(scope, send, status, [(b"content-type", b"application/json")], body)
    return body


async def deny(scope: Scope, send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": NORMAL})  # the server makes it a 403
        return
    headers = [(name, value) for name, value in headers if name != b"content-length"]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
