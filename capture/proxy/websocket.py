"""WebSockets to a provider, bridged message by message both ways.

As over HTTP, what an agent has is in the spool before: the request of a turn before the provider
gets the message that begins it, each message of the response before the agent gets it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from capture.exchange import Outcome, new_action_id
from capture.proxy.asgi_types import Receive, Scope, Send
from capture.proxy.browser_requests import find_socket_refusal
from capture.proxy.http_messages import ProxyResponse
from capture.proxy.incoming_call import EntryRefused, IncomingCall, identify_call
from capture.proxy.refusals import refusal_response, stop_response
from capture.proxy.responses import log_detail
from capture.proxy.runtime import Runtime, ShuttingDown, ensure_running
from capture.proxy.websocket_calls import WebSocketCalls
from capture.proxy.websocket_close import (
    INTERNAL_ERROR,
    MAX_REASON,
    NO_CODE,
    NO_FRAME,
    NORMAL,
    RESTART,
    SocketClosed,
    deny,
)
from capture.upstream.client import UpstreamError
from capture.upstream.routing import UnknownUpstream
from capture.upstream.websocket_client import (
    HandshakeDenied,
    handshake_headers_for_agent,
    open_websocket,
)
from capture.wire import registry
from capture.wire.paths import find_by_reading
from capture.wire.types import WireFormat


async def proxy_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serves a WebSocket from its handshake to its end."""
    await receive()  # websocket.connect
    path, socket = _read_path(scope["path"])
    wire_format, new_turns = socket or (None, None)
    handshake = await _identify(scope, send, path, wire_format)
    if handshake is None:
        return
    runtime = ensure_running()
    calls = WebSocketCalls(runtime, handshake, new_turns() if new_turns else None)
    upstream = await _connect(scope, send, runtime, handshake, calls)
    if upstream is None:
        return
    if new_turns is None:
        runtime.counters.passed_through += 1
    try:
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": upstream.subprotocol,
                "headers": calls.response_headers,
            }
        )
        await _bridge(upstream, receive, send, calls)
    finally:
        calls.end(Outcome.INTERRUPTED)
        upstream.transport.abort()


def _read_path(path: str) -> tuple[str, registry.Socket | None]:
    """Returns the path of a handshake, as over HTTP in the reading that is a call's if there is
    one, and what is spoken there."""
    return find_by_reading(path, lambda reading: registry.for_socket(reading.strip("/")))


async def _identify(
    scope: Scope, send: Send, path: str, wire_format: WireFormat | None
) -> IncomingCall | None:
    """Returns the handshake as a call; None where it must not go on: then it has been denied. Each
    of its turns is admitted or refused on its own."""
    error_format = wire_format or registry.by_name("raw")
    try:
        runtime = ensure_running()
        refused = find_socket_refusal(scope["headers"], runtime.allowed_origins)
        if refused is not None:
            runtime.counters.refused_pages += 1
            raise EntryRefused(refused)
        handshake = identify_call(
            runtime,
            method="GET",
            path=path,
            target=_target(scope),
            headers=scope["headers"],
            wire_format=wire_format,
        )
    except EntryRefused as error:
        refusal = refusal_response(error_format, new_action_id(), error.refused)
        await _deny_with(scope, send, refusal)
        return None
    except UnknownUpstream as error:
        await _deny_ourselves(scope, send, error_format, 404, str(error))
        return None
    except ShuttingDown:
        await _deny_ourselves(scope, send, error_format, 503, "it is being restarted")
        return None
    stopped = stop_response(runtime, handshake)
    if stopped is not None:
        await _deny_with(scope, send, stopped)
        return None
    return handshake


def _target(scope: Scope) -> bytes:
    target: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return target + b"?" + query if query else target


async def _connect(
    scope: Scope, send: Send, runtime: Runtime, handshake: IncomingCall, calls: WebSocketCalls
) -> ClientConnection | None:
    """Returns the connection to the upstream; None where there is none: then the failure is on
    record, and the agent's handshake is denied likewise."""
    destination, target = handshake.route
    try:
        upstream = await open_websocket(
            destination,
            target,
            handshake.headers,
            [name for name in scope["subprotocols"] if not runtime.own_secrets.are_in(name)],
            timeout_s=runtime.config.upstream_connect_timeout_s,
            trust_env=runtime.config.upstream_trust_env,
        )
    except HandshakeDenied as denied:
        calls.record_failure(denied.status, denied.headers, denied.body)
        await deny(scope, send, denied.status, denied.headers, denied.body)
        return None
    except UpstreamError as error:
        wire_format = handshake.wire_format
        log_detail(error.summary, str(error))
        body = await _deny_ourselves(scope, send, wire_format, error.status, error.summary)
        calls.record_failure(error.status, [], body, error=str(error))
        return None
    assert upstream.response is not None
    raw = list(upstream.response.headers.raw_items())
    calls.response_headers = handshake_headers_for_agent(raw)
    return upstream


async def _bridge(
    upstream: ClientConnection, receive: Receive, send: Send, calls: WebSocketCalls
) -> None:
    """Carries messages until one side closes, then closes the other likewise."""
    up = asyncio.create_task(_carry_up(upstream, receive, calls))
    down = asyncio.create_task(_carry_down(upstream, send, calls))
    try:
        done, _ = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        # Where both have ended, the agent's side says more.
        error = (up if up in done else down).exception()
    except asyncio.CancelledError:
        # The agent may be gone by now, in whatever way its server reports that.
        with suppress(Exception):
            await send({"type": "websocket.close", "code": RESTART, "reason": ""})
        raise
    finally:
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
    if not isinstance(error, SocketClosed):
        assert error is not None
        raise error
    calls.end(error.outcome, error.reason or None)
    await _close_other_side(upstream, send, error)


async def _close_other_side(upstream: ClientConnection, send: Send, closed: SocketClosed) -> None:
    code = NORMAL if closed.code == NO_CODE else closed.code
    if closed.outcome == Outcome.CLIENT_LEFT:
        if closed.code != NO_FRAME:
            await upstream.close(code, closed.reason)
        return
    reason = closed.reason.encode()[:MAX_REASON].decode(errors="ignore")
    await send({"type": "websocket.close", "code": code, "reason": reason})
    if closed.outcome == Outcome.INTERRUPTED:
        await upstream.close(code)


async def _carry_up(upstream: ClientConnection, receive: Receive, calls: WebSocketCalls) -> None:
    """Carries the agent's messages to the upstream. Raises SocketClosed."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code, reason = message.get("code") or NO_CODE, message.get("reason") or ""
            raise SocketClosed(Outcome.CLIENT_LEFT, code, reason)
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        await calls.record_sent(data if text is None else text.encode())
        try:
            await upstream.send(data if text is None else text)
        except ConnectionClosed:
            # What the upstream sent before it closed is still on its way to the agent: the other
            # direction carries it, and says why the connection closed.
            await asyncio.Event().wait()


async def _carry_down(upstream: ClientConnection, send: Send, calls: WebSocketCalls) -> None:
    """Carries the upstream's messages to the agent. Raises SocketClosed."""
    while True:
        try:
            message = await upstream.recv()
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                reason = "the upstream cut the connection"
                raise SocketClosed(Outcome.UPSTREAM_CUT, INTERNAL_ERROR, reason) from None
            code, reason = closed.rcvd.code, closed.rcvd.reason
            raise SocketClosed(Outcome.UPSTREAM_CUT, code, reason) from None
        if isinstance(message, str):
            await calls.record_received(message.encode())
            await send({"type": "websocket.send", "text": message})
        else:
            await calls.record_received(message)
            await send({"type": "websocket.send", "bytes": message})


# --- handshakes that are denied ---


async def _deny_ourselves(
    scope: Scope, send: Send, wire_format: WireFormat, status: int, message: str
) -> bytes:
    """Returns the body of the response."""
    body = wire_format.error_body(
        f"AgentLedger: {message}", type="api_error", code="no_websocket", request_id=""
    )
    await deny(scope, send, status, [(b"content-type", b"application/json")], body)
    return body


async def _deny_with(scope: Scope, send: Send, response: ProxyResponse) -> None:
    await deny(scope, send, response.status_code, response.raw_headers, response.body)
