"""The WebSocket at /ws: who may listen is told what he asked for until he leaves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from rest_framework.exceptions import ValidationError

from access.request_checks import Denied
from access.websockets import admitted
from capture.proxy.websocket import Receive, Scope, Send, deny
from reports.json_encoding import encode
from reports.live.feed import feed
from reports.live.ledger_reader import Since
from reports.live.mailbox import Client
from reports.live.watch import asked

ROUTE = "live"
# A key that was changed and a token that was revoked are noticed within this time.
LOOK_AGAIN_S = 60.0
NO_LONGER_ADMITTED = 4401


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    known = await asyncio.to_thread(admitted, scope, ROUTE)
    if isinstance(known, Denied):
        await _deny(scope, send, known.status, {"detail": known.reason})
        return
    try:
        watch, since = asked(scope["query_string"])
    except ValidationError as error:
        await _deny(scope, send, 400, error.detail)
        return
    await send({"type": "websocket.accept"})
    client = Client(watch)
    tasks = [
        asyncio.create_task(work)
        for work in (_until_gone(receive), _telling(client, since, send), _until_denied(scope))
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[2] in done and tasks[0] not in done:
            reason = tasks[2].result()
            with suppress(Exception):  # it may leave at the same time
                await send(
                    {"type": "websocket.close", "code": NO_LONGER_ADMITTED, "reason": reason}
                )
        elif tasks[1] in done and tasks[0] not in done:
            tasks[1].result()
    finally:
        feed.leave(client)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _telling(client: Client, since: Since | None, send: Send) -> None:
    await feed.join(client, since)
    while True:
        await send({"type": "websocket.send", "text": await client.next()})


async def _until_denied(scope: Scope) -> str:
    """The reason why he may not listen any more. A database that is away is none."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_S)
        known = await asyncio.to_thread(admitted, scope, ROUTE)
        if isinstance(known, Denied) and known.status in (401, 403):
            return known.reason


async def _deny(scope: Scope, send: Send, status: int, detail: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await deny(scope, send, status, headers, encode(detail))
