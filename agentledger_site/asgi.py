"""The ASGI application: Django serves our own paths, the proxy forwards everything else.

Runs under `manage.py runproxy` (Daphne) or any ASGI server, with or without lifespan:
`uvicorn agentledger_site.asgi:application --no-date-header --no-server-header --no-proxy-headers`.
"""

# ruff: noqa: E402 (Django must be set up before its users are imported)

from __future__ import annotations

import logging
import os
import signal
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")

from agentledger_site import startup_checks

startup_checks.check()

import django

from access import garbage_collection

django.setup(set_prefix=False)
garbage_collection.pause()  # until all views are loaded

from agentledger_site import made_key

made_key.make_if_needed()

from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.urls import get_resolver, re_path

from access.local import startup_notes
from agentledger_site.page_threads import PageThreads
from agentledger_site.root_path import with_root, without_root
from agentledger_site.sides import Side, find_side
from capture.proxy import runtime
from capture.proxy.asgi_types import Receive, Scope, Send
from capture.proxy.handler import ProxyHandler
from capture.proxy.websocket import proxy_websocket
from capture.proxy.websocket_close import deny
from capture.spool.folder import SpoolError
from capture.views import proxy
from reports.json_encoding import encode
from reports.live.running_elsewhere import running_elsewhere
from reports.routing import websocket_urlpatterns

logger = logging.getLogger("agentledger.proxy")


class Pages(ASGIHandler):
    """Runs middleware and views in one thread. Django itself would change threads twice for each
    middleware, around views that are not asynchronous either."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = PageThreads()

    async def __call__(  # type: ignore[override]  # Django has types of its own for these
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async with self._threads.lend():
            await super().__call__(scope, receive, cast(Any, send))

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        chain = cast(Any, self)._middleware_chain
        cast(Any, self)._middleware_chain = sync_to_async(chain, thread_sensitive=True)


pages = Pages()
# Loads all views now: with the first page it would hold up calls for 100 ms.
get_resolver().check()
garbage_collection.resume()
forward = ProxyHandler(proxy)


async def http(scope: Scope, receive: Receive, send: Send) -> None:
    begin()
    scope = without_root(scope)
    match find_side(scope):
        case Side.OURS:
            await pages(with_root(scope), receive, send)
        case Side.PROVIDERS:
            await forward(scope, receive, send)
        case Side.NEITHER:
            await nothing_here(scope, receive, send)


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    begin()
    scope = without_root(scope)
    match find_side(scope):
        case Side.OURS:
            await owned_websocket(with_root(scope), receive, send)
        case Side.PROVIDERS:
            await proxy_websocket(scope, receive, send)
        case Side.NEITHER:
            await no_websocket(scope, receive, send)


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds to what belongs to the other port, where there are two."""
    body = encode({"detail": "not at this port: AgentLedger serves pages and proxy at two"})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def no_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses a handshake at a path that has pages alone: no upstream may see it."""
    await receive()  # websocket.connect
    body = encode({"detail": "there is no WebSocket at this path"})
    await deny(scope, send, 404, [(b"content-type", b"application/json")], body)


# The cast is for django's types, which know views alone.
owned_websocket = URLRouter([*websocket_urlpatterns, re_path("", cast(Any, no_websocket))])


def start() -> None:
    """Raises SpoolError, ShuttingDown."""
    process = runtime.ensure_running()
    if not running_elsewhere.is_member:
        process.accompany(running_elsewhere.run())


def begin() -> None:
    """Starts the runtime with the first request, for servers without lifespan. If it cannot start,
    the process logs the reason and ends."""
    try:
        start()
    except SpoolError as error:
        logger.critical("%s", error)
        os.kill(os.getpid(), signal.SIGTERM)
        raise
    except runtime.ShuttingDown:
        pass  # the handler responds to the agent


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                start()
            except SpoolError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            startup_notes.log_sign_in()
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime.drain()
            await runtime.end()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan})
