"""The calls of one WebSocket: each turn is a call of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from capture.admission.body_inspection import MAX_INLINE
from capture.exchange import Outcome, new_action_id
from capture.proxy import recorded_headers
from capture.proxy.begin_call import NotSpooled, RefusedCall, begin_call, request_head
from capture.proxy.forwarded_call import ForwardedCall
from capture.proxy.incoming_call import IncomingCall
from capture.proxy.request_body import RequestBody
from capture.proxy.responses import log_detail
from capture.proxy.runtime import Runtime
from capture.proxy.websocket_close import POLICY, TRY_AGAIN_LATER, SocketClosed
from capture.spool.folder import SpoolError
from capture.upstream.headers import RawHeaders
from capture.wire.sockets.turns import TurnEvent, TurnMessage, TurnStarted, TurnTracker

# They describe the body of an HTTP request: a handshake has none.
_BODY_HEADERS = (b"content-type", b"content-encoding")


class WebSocketCalls:
    """Records the turns of one connection. Without `turns` nothing is recorded."""

    def __init__(
        self, runtime: Runtime, handshake: IncomingCall, turns: TurnTracker | None
    ) -> None:
        self.response_headers: RawHeaders = []  # of the upstream's handshake
        self._runtime = runtime
        self._handshake = handshake
        self._headers = [(n, v) for n, v in handshake.headers if n not in _BODY_HEADERS]
        self._turns = turns
        self._running: dict[int, ForwardedCall] = {}
        self._is_tracking = asyncio.Lock()

    async def record_sent(self, message: bytes) -> None:
        """Raises SocketClosed where a turn is refused, or cannot be recorded."""
        if self._turns is not None:
            await self._follow(await self._track(self._turns.from_agent, message))

    async def record_received(self, message: bytes) -> None:
        """Raises SocketClosed where a turn cannot be recorded."""
        if self._turns is not None:
            steps = await self._track(self._turns.from_provider, message)
            for call in await self._follow(steps):
                if call.charge is not None:
                    await call.charge.settle(Outcome.COMPLETED)
                await call.entry.sync()

    async def _track(
        self, follow: Callable[[bytes], list[TurnEvent]], message: bytes
    ) -> list[TurnEvent]:
        """Follows a large message in a thread, and meanwhile no other one of this connection."""
        if len(message) <= MAX_INLINE and not self._is_tracking.locked():
            return follow(message)
        async with self._is_tracking:
            return await asyncio.to_thread(follow, message)

    async def _follow(self, steps: list[TurnEvent]) -> list[ForwardedCall]:
        """Returns the calls that have ended, whose charges are still to be settled."""
        ended = []
        try:
            for step in steps:
                if isinstance(step, TurnStarted):
                    await self._begin(step)
                elif (call := self._running.get(step.turn)) is None:
                    continue  # it goes on without a record: AGENTLEDGER_ON_FULL=pass
                elif isinstance(step, TurnMessage):
                    call.entry.write_piece(step.piece)
                    if call.charge is not None:
                        call.charge.add_piece(step.piece)
                else:
                    self._end_turn(step.turn, Outcome.COMPLETED)
                    ended.append(call)
        except SpoolError as error:
            counters = self._runtime.counters
            if self._runtime.config.on_full == "pass":
                counters.unrecorded += 1
                self.end(Outcome.INTERRUPTED, str(error))
            else:
                counters.refused_full += 1
                log_detail(error.summary, str(error))
                reason = f"AgentLedger: calls cannot be recorded now: {error.summary}"
                raise SocketClosed(Outcome.INTERRUPTED, TRY_AGAIN_LATER, reason) from error
        return ended

    async def _begin(self, begins: TurnStarted) -> None:
        body = RequestBody(begins.body, len(begins.body))
        try:
            call = await begin_call(self._runtime, self._incoming_call(), body)
        except NotSpooled as error:
            if error.charge is not None:
                await error.charge.release()
            raise
        if isinstance(call, RefusedCall):
            reason = f"AgentLedger: {call.refused.message}"
            raise SocketClosed(Outcome.INTERRUPTED, POLICY, reason)
        # The provider's messages are recorded as the events of a stream.
        headers = [
            *recorded_headers.response_headers(self.response_headers),
            ("content-type", "text/event-stream"),
        ]
        try:
            call.entry.write_head(101, headers)
        except SpoolError:
            if call.charge is not None:
                await call.charge.release()
            raise
        if call.charge is not None:
            call.charge.begin_response(101, headers)
        self._running[begins.turn] = call
        self._runtime.call_begins()

    def _incoming_call(self) -> IncomingCall:
        """Returns a turn, or a handshake that failed, as a call with an id of its own."""
        handshake = self._handshake
        return IncomingCall(
            method=handshake.method,
            path=handshake.path,
            target=handshake.route.target,
            headers=self._headers,
            wire_format=handshake.wire_format,
            route=handshake.route,
            fields=handshake.fields,
            action_id=new_action_id(),
        )

    def _end_turn(self, turn: int, outcome: Outcome, error: str | None = None) -> None:
        """Leaves the charge of a completed turn to the caller, who can wait for it."""
        call = self._running.pop(turn)
        self._runtime.call_ends()
        if outcome != Outcome.COMPLETED:
            call.settle_later(outcome)
        call.entry.end(outcome, error)

    def record_failure(
        self, status: int, headers: RawHeaders, body: bytes, *, error: str | None = None
    ) -> None:
        """Records a call whose upstream opened no WebSocket. With `error` the response is our
        own, because the upstream gave none."""
        if self._turns is None:
            return
        call, request = self._incoming_call(), b"{}"
        head = request_head(call, RequestBody(request, len(request)))
        self._runtime.counters.calls += 1
        with suppress(SpoolError):
            self._runtime.writer.begin(call.action_id, head, request).write_response(
                status,
                recorded_headers.response_headers(headers),
                body,
                outcome=Outcome.COMPLETED if error is None else Outcome.UPSTREAM_ERROR,
                error=error,
                is_ours=error is not None,
            )

    def end(self, outcome: Outcome, error: str | None = None) -> None:
        """Ends all turns that are not complete."""
        for turn in list(self._running):
            with suppress(SpoolError):
                self._end_turn(turn, outcome, error)
