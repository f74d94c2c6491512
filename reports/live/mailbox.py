"""The messages that wait for one client of the live feed."""

from __future__ import annotations

import asyncio
from collections import deque

from reports.live.watch import Watch

MAX_WAITING = 4
GAP = '{"type":"gap"}'


class Mailbox:
    """Holds `MAX_WAITING` messages at most. A client that reads too slowly gets `GAP` in their
    place, and then has to read the list of calls again."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._waiting: deque[str] = deque()
        self._has_mail = asyncio.Event()

    def put(self, message: str) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self._waiting.append(GAP)
        elif self._waiting and self._waiting[-1] == GAP == message:
            return
        else:
            self._waiting.append(message)
        self._has_mail.set()

    async def take(self) -> str:
        """Waits for the next message and removes it."""
        while not self._waiting:
            self._has_mail.clear()
            await self._has_mail.wait()
        return self._waiting.popleft()
