"""One socket that watches. Messages wait for it, but never many: who reads too slowly is told that
there is a gap, and reads the list again."""

from __future__ import annotations

import asyncio
from collections import deque

from reports.live.watch import Watch

MOST_WAITING = 4
GAP = '{"type":"gap"}'


class Client:
    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._waiting: deque[str] = deque()
        self._there = asyncio.Event()

    def offer(self, message: str) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._waiting.append(GAP)
        elif self._waiting and self._waiting[-1] == GAP == message:
            return
        else:
            self._waiting.append(message)
        self._there.set()

    async def next(self) -> str:
        while not self._waiting:
            self._there.clear()
            await self._there.wait()
        return self._waiting.popleft()
