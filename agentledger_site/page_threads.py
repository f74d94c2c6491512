"""The threads that pages run in. Each keeps its database connection for the next page: opening one
takes longer than most pages do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

# There are as many threads as pages at once, of which this many stay.
MAX_IDLE = 8


class PageThreads:
    """A pool of threads for one event loop."""

    def __init__(self) -> None:
        self._free: list[ThreadPoolExecutor] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[None]:
        """Within this context Django runs synchronous code in a thread that no other page uses."""
        thread = self._free.pop() if self._free else ThreadPoolExecutor(1, "page")
        try:
            async with ThreadSensitiveContext(executor=thread):
                yield
        finally:
            if len(self._free) < MAX_IDLE:
                self._free.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)
