"""The WebSocket client to the upstream: its handshake carries the agent's headers, its messages are
those that it was given."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from capture.upstream.client import HOP_BY_HOP, RawHeaders, UpstreamError, forwarded
from capture.upstream.routing import Destination

# The handshake of one hop: the other one has its own.
_OF_THE_HANDSHAKE = b"sec-websocket-"
# Messages that may wait for a slow agent before the upstream has to.
WAITING_MESSAGES = 16
CLOSE_TIMEOUT_S = 5

# At its level "info" websockets tells of each connection.
_logger = logging.getLogger("agentledger.websockets")
_logger.setLevel(logging.WARNING)


class Denied(Exception):
    """The upstream headers_for_agent the handshake with something else than a WebSocket."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        super().__init__(f"the upstream headers_for_agent {status}")
        self.status, self.headers, self.body = status, headers, body


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """A redirect is for the agent, as it is over HTTP."""
        return exc


async def connected(
    destination: Destination,
    target: bytes,
    headers: RawHeaders,
    subprotocols: Sequence[str],
    *,
    timeout_s: float,
    trust_env: bool,
) -> ClientConnection:
    """Raises Denied, UpstreamError."""
    origin = str(destination.origin).rstrip("/").replace("http", "ws", 1)
    name = destination.authority
    try:
        return await _Connect(
            origin + destination.target_of(target).decode("latin-1"),
            additional_headers=[
                (header, value)
                for header, value in forwarded(headers).items()
                if not header.startswith(_OF_THE_HANDSHAKE.decode())
            ],
            subprotocols=[Subprotocol(offered) for offered in subprotocols] or None,
            user_agent_header=None,
            compression=None,
            proxy=True if trust_env else None,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # the upstream's own pings tell whether it lives
            max_size=None,
            max_queue=WAITING_MESSAGES,
            logger=_logger,
        )
    except InvalidStatus as error:
        response = error.response
        raise Denied(
            response.status_code,
            headers_for_agent(list(response.headers.raw_items())),
            bytes(response.body or b""),
        ) from error
    except TimeoutError:
        message = f"no WebSocket to {name} within {timeout_s:g} s"
        raise UpstreamError(message, status=504, worked=False) from None
    except (InvalidHandshake, InvalidMessage, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"{name} cannot be reached: {reason}"
        raise UpstreamError(message, status=502, worked=False) from error


def headers_for_agent(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """The headers of the upstream's handshake that the agent's gets too."""
    raw = [
        (name.lower().encode("latin-1"), value.encode("ascii", "surrogateescape"))
        for name, value in headers
    ]
    return [
        (name, value)
        for name, value in raw
        if name not in HOP_BY_HOP and not name.startswith(_OF_THE_HANDSHAKE)
    ]
