"""Calls under way in other processes, through Redis: each process tells its own while somebody
watches anywhere."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from reports.live.running import running_here
from reports.queries.call_list import ShortCall

logger = logging.getLogger("agentledger.live")

WATCHED = "agentledger:live:watched"
PROCESSES = "agentledger:live:processes"
RUNNING = "agentledger:live:running:"
EVERY_S = 0.5
# What is not renewed for so long is past: its process ended, or nobody watches.
KEPT_MS = 3000
TIMEOUT_S = 0.5
FAILURES = (RedisError, OSError, TimeoutError)


class Shared:
    def __init__(self, url: str) -> None:
        self.process = secrets.token_hex(8)
        self._redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            decode_responses=True,
        )
        self._away = False
        self.is_telling = False

    async def tell_others(self) -> None:
        """Until it is cancelled."""
        self.is_telling = True
        try:
            while True:
                await self._guarded(self._tell)
                await asyncio.sleep(EVERY_S)
        finally:
            await self._redis.aclose()

    async def of_others(self) -> dict[str, ShortCall]:
        """By action_id. Says that somebody watches."""
        found: dict[str, ShortCall] = {}

        async def ask() -> None:
            await self._redis.set(WATCHED, 1, px=KEPT_MS)
            names = await self._redis.smembers(PROCESSES)
            others = sorted(str(name) for name in names if name != self.process)
            if not others:
                return
            told = await self._redis.mget([RUNNING + name for name in others])
            for name, calls in zip(others, told, strict=True):
                if calls is None:
                    await self._redis.srem(PROCESSES, name)
                else:
                    found.update({call["action_id"]: call for call in orjson.loads(calls)})

        await self._guarded(ask)
        return found

    async def _tell(self) -> None:
        if not await self._redis.exists(WATCHED):
            return
        calls = orjson.dumps(list(running_here().values()))
        await self._redis.set(RUNNING + self.process, calls, px=KEPT_MS)
        await self._redis.sadd(PROCESSES, self.process)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            self._away = False
        except FAILURES as error:
            if not self._away:
                logger.warning("Redis does not tell which calls run elsewhere: %s", error)
            self._away = True
