"""A request as the server hands it over, and a response as it goes out. Headers stay as they are:
in their order, with duplicates, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from capture.proxy.asgi_types import Chunks, Receive, Scope, Send
from capture.proxy.runtime import current

# Most responses arrive sooner: only slower calls pay for watching the agent's connection.
WATCH_AFTER_S = 0.05


class ResponseAborted(Exception):
    """The response cannot be completed: the agent's connection is closed in the middle of it."""


class ProxyRequest(HttpRequest):
    """Fills only method and path of HttpRequest's fields: the others would have to be decoded, and
    nothing here needs them decoded."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        # Not super().__init__(): it makes five dictionaries that stay empty.
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path = self.path_info = scope["path"]
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.agent_hung_up = False
        self.is_body_read = True  # False while an upload still waits for messages
        self._watch: asyncio.TimerHandle | asyncio.Task[None] | None = None

    @property
    def target(self) -> bytes:
        """The raw path with its query."""
        path = self.scope.get("raw_path")
        if path is None:
            path = self.path.encode()
        query: bytes = self.scope["query_string"]
        return path + b"?" + query if query else path

    @property
    def has_body(self) -> bool:
        return any(n in (b"content-length", b"transfer-encoding") for n, _ in self.raw_headers)

    def cancel_on_hang_up(self) -> None:
        """Cancels the current task when the agent hangs up. Until the body has been read, its
        messages are left to whoever reads it."""
        if self._watch is None:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(WATCH_AFTER_S, self._begin_to_watch, task)

    def _begin_to_watch(self, task: asyncio.Task[None]) -> None:
        if not self.is_body_read:  # a response may come before the upload has ended
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(WATCH_AFTER_S, self._begin_to_watch, task)
            return
        self._watch = asyncio.create_task(self._watch_agent(task))

    async def _watch_agent(self, task: asyncio.Task[None]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.agent_hung_up = True
        task.cancel()

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()


class ProxyResponse(HttpResponseBase):
    """A response whose body is there as a whole, or comes in chunks."""

    streaming = True

    def __init__(
        self,
        status: int,
        raw_headers: list[tuple[bytes, bytes]],
        chunks: Chunks | None = None,
        *,
        body: bytes = b"",
        close: Callable[[], None] | None = None,
        error_code: str | None = None,
    ) -> None:
        """`error_code` is that of an error of our own. `close` is called when no more chunks are
        sent, be it before the first one: a generator that never began runs no `finally`."""
        super().__init__(status=status)
        self.raw_headers = raw_headers
        self.chunks = chunks
        self.body = body
        self.close_chunks = close
        self.error_code = error_code

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
        if self.chunks is None:
            await send({"type": "http.response.body", "body": self.body})
            return
        async for chunk, last in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": not last})
