"""The WebSocket client to the upstreams: its handshake carries the agent's headers, its messages
are those that it was given."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from capture.upstream.client import UpstreamError
from capture.upstream.headers import HOP_BY_HOP, RawHeaders, headers_for_upstream, sets_own_cookie
from capture.upstream.routing import Destination

# These headers describe the handshake of one hop: the next hop has its own.
_HANDSHAKE_PREFIX = "sec-websocket-"
# Messages that may wait for a slow agent before the upstream has to.
WAITING_MESSAGES = 16
CLOSE_TIMEOUT_S = 5

# At its level "info" websockets logs each connection.
_logger = logging.getLogger("agentledger.websockets")
_logger.setLevel(logging.WARNING)


class HandshakeDenied(Exception):
    """The upstream responded to the handshake with something other than a WebSocket."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        super().__init__(f"the upstream denied the WebSocket with status {status}")
        self.status, self.headers, self.body = status, headers, body


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """Leaves redirects to the agent, as over HTTP."""
        return exc


async def open_websocket(
    destination: Destination,
    target: bytes,
    headers: RawHeaders,
    subprotocols: Sequence[str],
    *,
    timeout_s: float,
    trust_env: bool,
) -> ClientConnection:
    """Raises HandshakeDenied, UpstreamError."""
    origin = str(destination.origin).rstrip("/").replace("http", "ws", 1)
    name = destination.authority
    try:
        return await _Connect(
            origin + destination.full_target(target).decode("latin-1"),
            additional_headers=_handshake_headers_for_upstream(headers),
            subprotocols=[Subprotocol(offered) for offered in subprotocols] or None,
            user_agent_header=None,
            compression=None,
            proxy=True if trust_env else None,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # the upstream's own pings find out whether it is alive
            max_size=None,
            max_queue=WAITING_MESSAGES,
            logger=_logger,
        )
    except InvalidStatus as error:
        response = error.response
        raise HandshakeDenied(
            response.status_code,
            handshake_headers_for_agent(list(response.headers.raw_items())),
            bytes(response.body or b""),
        ) from error
    except TimeoutError:
        message = f"no WebSocket to {name} within {timeout_s:g} s"
        raise UpstreamError(message, status=504, may_have_worked=False) from None
    except (InvalidHandshake, InvalidMessage, OSError, EOFError, ValueError) as error:
        message = f"{name} cannot be reached"
        raise UpstreamError(message, error, status=502, may_have_worked=False) from error


def _handshake_headers_for_upstream(headers: RawHeaders) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in headers_for_upstream(headers).items()
        if not name.startswith(_HANDSHAKE_PREFIX)
    ]


def handshake_headers_for_agent(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Returns the headers of the upstream's handshake that the agent's handshake gets too."""
    raw = [
        (name.lower().encode("latin-1"), value.encode("ascii", "surrogateescape"))
        for name, value in headers
    ]
    return [
        (name, value)
        for name, value in raw
        if name not in HOP_BY_HOP
        and not name.startswith(_HANDSHAKE_PREFIX.encode())
        and not sets_own_cookie(name, value)
    ]
