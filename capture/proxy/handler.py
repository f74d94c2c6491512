"""The handler that takes a request to the proxy view, and its response to the agent.

Django's own ASGIHandler runs middleware, signals and thread hops that cost more than forwarding a
call, and reads bodies first. This one calls a single async view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from django.core.handlers.asgi import ASGIHandler

from capture.proxy.asgi_types import Receive, Scope, Send
from capture.proxy.http_messages import ProxyRequest, ProxyResponse, ResponseAborted
from capture.proxy.request_body import AgentHungUp
from capture.proxy.runtime import ShuttingDown, ensure_running

# For a call that arrives on an old connection while the process ends: agents try again.
RESTARTING = ProxyResponse(
    503,
    [(b"content-type", b"application/json")],
    body=b'{"error": {"message": "AgentLedger is being restarted", "type": "api_error"}}',
)


class ProxyHandler(ASGIHandler):
    def __init__(self, view: Callable[[ProxyRequest], Awaitable[ProxyResponse]]) -> None:
        # Not super().__init__(): it loads the middleware.
        self.view = view

    # ASGIHandler's own types for receive and send are those of asgiref, which nobody else uses.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        try:
            runtime = ensure_running()
        except ShuttingDown:
            await RESTARTING.send_to(send)
            return
        request = ProxyRequest(scope, receive)
        response = None
        runtime.call_begins()
        try:
            response = await self.view(request)
            await response.send_to(send)
        except AgentHungUp:
            pass
        except ResponseAborted:
            pass  # servers close a connection whose response was not completed
        except asyncio.CancelledError:
            if not request.agent_hung_up:
                raise
        finally:
            if response is not None and response.chunks is not None:
                await response.chunks.aclose()
            if response is not None and response.close_chunks is not None:
                response.close_chunks()
            request.stop_watching()
            runtime.call_ends()
