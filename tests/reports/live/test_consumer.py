"""The consumer at /ws, without a server around it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from channels.testing import WebsocketCommunicator

from reports.consumers import LiveCalls
from tests.support.ledger import Ledger

FOREIGN_PAGE = [(b"host", b"ledger.example"), (b"origin", b"http://evil.example")]


def test_a_denied_handshake_gets_a_response() -> None:
    async def handshake() -> list[dict[str, Any]]:
        client = WebsocketCommunicator(LiveCalls.as_asgi(), "/ws", headers=FOREIGN_PAGE)
        client.scope["extensions"] = {"websocket.http.response": {}}
        await client.send_input({"type": "websocket.connect"})
        messages = [await client.receive_output(30), await client.receive_output(30)]
        await client.wait(30)  # the consumer has ended
        return messages

    start, body = asyncio.run(handshake())
    assert start["status"] == 403
    assert dict(start["headers"]) == {
        b"content-type": b"application/json",
        b"content-length": str(len(body["body"])).encode(),
    }
    assert json.loads(body["body"]) == {"detail": "a page of another site may not connect here"}


def test_a_server_that_can_send_no_response_is_told_to_close() -> None:
    async def handshake() -> tuple[bool, int]:
        client = WebsocketCommunicator(LiveCalls.as_asgi(), "/ws", headers=FOREIGN_PAGE)
        is_accepted, code = await client.connect(30)
        await client.wait(30)
        return is_accepted, code

    assert asyncio.run(handshake()) == (False, 1000)


# The client moves to an address that may not listen: that takes no token and no minute.
RECHECK = """
import asyncio, json
import agentledger_site.asgi  # sets up Django
from capture.proxy import runtime
from channels.testing import WebsocketCommunicator
from reports.consumers import LiveCalls

async def listen():
    application = LiveCalls.as_asgi(recheck_s=0.2)
    client = WebsocketCommunicator(application, "/ws", [(b"host", b"localhost")])
    client.scope["client"] = ("127.0.0.1", 1)
    assert await client.connect(30) == (True, None)
    messages = [await client.receive_output(30)]
    client.scope["client"] = ("203.0.113.9", 1)
    while messages[-1]["type"] != "websocket.close":
        messages.append(await client.receive_output(30))
    assert await client.receive_nothing(1)
    await client.disconnect(timeout=30)
    await runtime.end()
    print(json.dumps(messages))

asyncio.run(listen())
"""


def test_a_client_that_may_not_listen_any_more_is_closed(fresh: Ledger) -> None:
    with fresh:  # makes its tables
        pass
    # There is no connection whose user could be asked for.
    fresh.env["AGENTLEDGER_TRUSTED_NETWORKS"] = "127.0.0.1"
    result = subprocess.run(
        [sys.executable, "-c", RECHECK],
        cwd=fresh.folder,
        env=fresh.environment(),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    first, *_, last = json.loads(result.stdout)
    assert json.loads(first["text"])["type"] == "hello"
    assert last["code"] == 4401
    assert last["reason"]
