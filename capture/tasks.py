"""Cancels tasks, even where a library loses the cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def cancel_tasks(tasks: Collection[asyncio.Task[Any]], *, again_after_s: float = 1.0) -> None:
    """Cancels tasks until all have ended, whatever they raise. One that goes on is cancelled again
    after `again_after_s`: redis-py 8.1 loses a cancellation that comes within a command, and a task
    that repeats commands would never end."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        done, running = await asyncio.wait(running, timeout=again_after_s)
        await asyncio.gather(*done, return_exceptions=True)
