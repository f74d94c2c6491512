"""The WebSocket at /ws, which sends calls as they begin and as they are recorded."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NoReturn

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from rest_framework.exceptions import ValidationError

from access.request_checks import Denial
from access.websockets import authenticate_socket
from capture.proxy.asgi_types import Receive, Scope, Send
from capture.proxy.websocket_close import INTERNAL_ERROR, deny
from reports.dashboard.live_rows import render_rows
from reports.json_encoding import encode
from reports.live.feed import Feed
from reports.live.mailbox import Mailbox
from reports.live.running_elsewhere import running_elsewhere
from reports.live.watch import Since, parse_watch

logger = logging.getLogger("agentledger.live")

ROUTE = "live"
# A key that was changed and a token that was revoked are noticed within this time.
RECHECK_S = 60.0
NO_LONGER_ADMITTED = 4401
# Names no channel layer: the process has one channel (reports.live.running_elsewhere), because one
# for each of 500 clients costs a core.
NO_LAYER = "none"

feed = Feed(render_rows, running_elsewhere)


class LiveCalls(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """Sends a client what it watches until it disconnects, or may not watch any more."""

    channel_layer_alias = NO_LAYER

    def __init__(self, *, recheck_s: float = RECHECK_S) -> None:
        super().__init__()
        self._recheck_s = recheck_s
        self._mailbox: Mailbox | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Not in disconnect(): a server that shuts down cancels consumers without calling it.
            await self._leave()

    async def connect(self) -> None:
        actor = await asyncio.to_thread(authenticate_socket, self.scope, ROUTE)
        if isinstance(actor, Denial):
            await self._deny(actor.status, {"detail": actor.reason})
        try:
            watch, since = parse_watch(self.scope["query_string"], self.scope.get("root_path", ""))
        except ValidationError as error:
            await self._deny(400, error.detail)
        await self.accept()
        self._mailbox = Mailbox(watch)
        delivery = asyncio.create_task(self._deliver(self._mailbox, since))
        self._tasks = [delivery, asyncio.create_task(self._close_when_denied(delivery))]

    async def _deny(self, status: int, detail: Any) -> NoReturn:
        headers = [(b"content-type", b"application/json")]
        await deny(self.scope, self.base_send, status, headers, encode(detail))
        raise StopConsumer

    async def _deliver(self, mailbox: Mailbox, since: Since | None) -> None:
        try:
            await feed.join(mailbox, since)
            while True:
                await self.send(text_data=await mailbox.take())
        except OSError:
            pass  # the client has gone: the server says so to websocket_disconnect
        except Exception:  # whatever it is, the client would wait for messages that never come
            logger.exception("the live feed failed for a client")
            await self.close(INTERNAL_ERROR)

    async def _close_when_denied(self, delivery: asyncio.Task[None]) -> None:
        """Asks from time to time whether the client may still watch. A database that is unavailable
        is no reason to close."""
        while True:
            await asyncio.sleep(self._recheck_s)
            actor = await asyncio.to_thread(authenticate_socket, self.scope, ROUTE)
            if isinstance(actor, Denial) and actor.status in (401, 403):
                delivery.cancel()
                await self.close(NO_LONGER_ADMITTED, actor.reason)
                return

    async def _leave(self) -> None:
        if self._mailbox is not None:
            feed.leave(self._mailbox)
        for task in self._tasks:
            task.cancel()
        # What closing raises is of no interest: the client may have left at the same time.
        await asyncio.gather(*self._tasks, return_exceptions=True)
