"""The threads that pages run in. Each keeps its database connection for the next page: to open one
takes longer than most pages do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

# There are as many as pages are made at once; so many of them stay.
KEPT = 8


class PageThreads:
    """To be used within one event loop."""

    def __init__(self) -> None:
        self._free: list[ThreadPoolExecutor] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Within it, Django runs what is not asynchronous in a thread that no other page has."""
        thread = self._free.pop() if self._free else ThreadPoolExecutor(1, "page")
        try:
            async with ThreadSensitiveContext(executor=thread):
                yield
        finally:
            if len(self._free) < KEPT:
                self._free.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)
