"""The fast lane: how a request reaches the proxy view, and its answer the agent.

Django's own ASGIHandler runs middleware, signals and thread hops that cost more than the whole
forward, and collects bodies first. This one calls one async view, and hands on headers as they are:
in their order, with duplicates, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import cached_property
from typing import Any, cast

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from capture.proxy.request_body import AgentLeft, Receive
from capture.proxy.runtime import Ended, current, running

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Pieces = AsyncGenerator[tuple[bytes, bool], None]
"""Pieces of an answer's body, each with whether it is the last."""

# Most answers are there sooner; only slower calls pay for watching the agent's connection.
WATCH_AFTER_S = 0.05


class ResponseAborted(Exception):
    """The answer cannot be completed: the agent's connection is closed in the middle of it."""


class ProxyRequest(HttpRequest):
    """A request as the server gave it. Of HttpRequest's fields only method and path are filled:
    the rest would have to be decoded, and nothing here wants it decoded."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        # Without super(): it makes five dictionaries that stay empty.
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path = self.path_info = scope["path"]
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.agent_left = False
        self.body_taken = True  # False while someone else still waits for messages
        self._watch: asyncio.TimerHandle | asyncio.Task[None] | None = None

    @cached_property
    def raw_path(self) -> bytes:
        raw = self.scope.get("raw_path")
        return raw if raw is not None else self.path.encode()

    @property
    def query_string(self) -> bytes:
        query: bytes = self.scope["query_string"]
        return query

    @property
    def target(self) -> bytes:
        query = self.query_string
        return self.raw_path + b"?" + query if query else self.raw_path

    @property
    def has_body(self) -> bool:
        return any(n in (b"content-length", b"transfer-encoding") for n, _ in self.raw_headers)

    def cancel_when_agent_leaves(self) -> None:
        """To be called once the body has been taken: cancels the task that serves this request."""
        if self._watch is None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(WATCH_AFTER_S, self._begin_to_watch, task)

    def _begin_to_watch(self, task: asyncio.Task[None]) -> None:
        if not self.body_taken:  # an answer may come before the upload has ended
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(WATCH_AFTER_S, self._begin_to_watch, task)
            return
        self._watch = asyncio.create_task(self._watch_agent(task))

    async def _watch_agent(self, task: asyncio.Task[None]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.agent_left = True
        task.cancel()

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()


class ProxyResponse(HttpResponseBase):
    """An answer with its headers as they go out; its body is whole, or comes in pieces."""

    streaming = True

    def __init__(
        self,
        status: int,
        raw_headers: list[tuple[bytes, bytes]],
        pieces: Pieces | None = None,
        *,
        body: bytes = b"",
        close: Callable[[], None] | None = None,
    ) -> None:
        """`close` is called when the pieces are done with, all of them sent or not even one: a
        generator that was never begun runs no `finally`."""
        super().__init__(status=status)
        self.raw_headers = raw_headers
        self.pieces = pieces
        self.body = body
        self.close_pieces = close

    async def send_to(self, send: Send) -> None:
        start: dict[str, Any] = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        runtime = current()
        if runtime is None or runtime.stopping:  # the agent's next call needs another process
            start["headers"] = [*self.raw_headers, (b"connection", b"close")]
        await send(start)
        if self.pieces is None:
            await send({"type": "http.response.body", "body": self.body})
            return
        async for piece, last in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": not last})


# A call that comes on an old connection while the process ends; agents try again.
ENDED = ProxyResponse(
    503,
    [(b"content-type", b"application/json")],
    body=b'{"error": {"message": "AgentLedger is being restarted", "type": "api_error"}}',
)


class FastLane(ASGIHandler):
    def __init__(self, view: Callable[[ProxyRequest], Awaitable[ProxyResponse]]) -> None:
        # Without super(): it loads the middleware.
        self.view = view

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        try:
            runtime = running()
        except Ended:
            await ENDED.send_to(send)
            return
        request = ProxyRequest(scope, receive)
        response = None
        runtime.call_begins()
        try:
            response = await self.view(request)
            await response.send_to(send)
        except AgentLeft:
            pass
        except ResponseAborted:
            pass  # returning without the answer's end makes servers close the connection
        except asyncio.CancelledError:
            if not request.agent_left:
                raise
        finally:
            if response is not None and response.pieces is not None:
                await response.pieces.aclose()
            if response is not None and response.close_pieces is not None:
                response.close_pieces()
            request.stop_watching()
            runtime.call_ends()
