"""Ends tasks that a library may keep from ending."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def ended(tasks: Collection[asyncio.Task[Any]], *, again_after_s: float = 1.0) -> None:
    """Cancels them, and again those that have not ended in this time: redis-py 8.1 loses a
    cancellation that comes within a command, and a task that repeats commands would never end. What
    they raise is theirs."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        done, running = await asyncio.wait(running, timeout=again_after_s)
        await asyncio.gather(*done, return_exceptions=True)
