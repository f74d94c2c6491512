"""Cancelled tasks end, whatever they do with the cancellation."""

from __future__ import annotations

import asyncio

from capture.tasks import cancel_tasks


def test_tasks_end_that_lose_cancellations_or_fail() -> None:
    lost = []

    async def loses(n: int) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.append(n)
                if lost.count(n) > 2:
                    raise

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("it cannot end in peace")

    async def cancel_all() -> None:
        tasks = [asyncio.create_task(work) for work in (loses(1), loses(2), fails())]
        await asyncio.sleep(0)  # they begin
        await cancel_tasks(tasks, again_after_s=0.01)
        assert all(task.done() for task in tasks)
        await cancel_tasks([])

    asyncio.run(cancel_all())
    assert sorted(lost) == [1, 1, 1, 2, 2, 2]
