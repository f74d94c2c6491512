"""The end of a WebSocket: close codes, and the denial of handshakes."""

from __future__ import annotations

from capture.exchange import Outcome
from capture.proxy.asgi_types import Scope, Send
from capture.upstream.headers import RawHeaders

# RFC 6455 section 7.4.1, and the registry that it established.
NORMAL, POLICY, INTERNAL_ERROR, RESTART, TRY_AGAIN_LATER = 1000, 1008, 1011, 1012, 1013
# Codes that stand for an empty close frame or a missing one: they are never sent.
NO_CODE, NO_FRAME = 1005, 1006
MAX_REASON = 123  # bytes


class SocketClosed(Exception):
    """One side has closed, or must: the other is to be closed likewise."""

    def __init__(self, outcome: Outcome, code: int, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.code, self.reason = outcome, code, reason


async def deny(scope: Scope, send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    """Responds to a handshake with something other than a WebSocket."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": NORMAL})  # the server makes it a 403
        return
    headers = [(name, value) for name, value in headers if name != b"content-length"]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
