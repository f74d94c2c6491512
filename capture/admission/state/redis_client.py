"""Redis as the state uses it: every step is a script, and one failure begins an outage for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from capture.admission.state.outage import Outage
from capture.admission.state.redis_pipeline import FAILURES, ScriptPipeline
from capture.admission.state.redis_values import to_us


class Unavailable(Exception):
    """Redis did not reply: the outage says why."""

    def __init__(self, was_tried: bool) -> None:
        super().__init__()
        self.was_tried = was_tried  # True: the script may have run, although its reply is missing


class RedisClient:
    """`idle_s` is how long sums of sessions stay without being used; 0: forever. `unix`, for
    tests, replaces the clock of Redis."""

    def __init__(
        self,
        url: str,
        outage: Outage,
        *,
        timeout_s: float,
        idle_s: int,
        unix: Callable[[], float] | None = None,
    ) -> None:
        self.outage = outage
        self._pipeline = ScriptPipeline(url, timeout_s)
        self._idle_s = idle_s
        self._unix = unix

    async def run(self, script: str, **arguments: Any) -> Any:
        """Returns the script's reply. Raises Unavailable."""
        if not self.outage.may_try():
            raise Unavailable(was_tried=False)
        arguments["idle_s"] = self._idle_s
        if self._unix is not None:
            arguments["now_us"] = to_us(self._unix())
        try:
            reply = await self._pipeline.run(script, arguments)
        except FAILURES as error:
            self.outage.begin(error)
            raise Unavailable(was_tried=True) from error
        self.outage.end()
        return reply

    def now(self) -> float:
        """Returns seconds since 1970 by the clock of this process, which is close enough to that of
        Redis for people to read."""
        return (self._unix or time.time)()

    async def close(self) -> None:
        await self._pipeline.close()
