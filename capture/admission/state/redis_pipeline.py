"""Scripts on their way to Redis: those of the same moment go together, over one connection. A
hundred calls at once cost a third of what they would on a connection each, and no time-out is spent
on opening connections."""

from __future__ import annotations

import asyncio
from hashlib import sha1
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

TIMEOUT_S = 0.5
GRACE_S = 0.05
MAX_BATCH = 256

FAILURES = (RedisError, OSError, TimeoutError)


class Waiting(NamedTuple):
    script: str
    arguments: bytes
    reply: asyncio.Future[Any]


class Pipe:
    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        # Without retries: a step that was taken although its reply was lost is not to be repeated.
        self._redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._timeout_s = timeout_s
        self._waiting: list[Waiting] = []
        self._sending: asyncio.Task[None] | None = None
        self._digests: dict[str, str] = {}

    async def run(self, script: str, arguments: dict[str, Any]) -> Any:
        """The script's reply, in the order of asking. Raises one of FAILURES."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(script, msgspec.msgpack.encode(arguments), reply))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await reply

    async def close(self) -> None:
        if self._sending is not None:
            await self._sending
        await self._redis.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                try:
                    replies = await self._replies_in_time(batch)
                except FAILURES as error:
                    # Those behind would wait as long, for the same.
                    batch, self._waiting = batch + self._waiting, []
                    replies = [error] * len(batch)
                for waiting, reply in zip(batch, replies, strict=True):
                    if waiting.reply.done():  # the one that asked is gone
                        continue
                    if isinstance(reply, Exception):
                        waiting.reply.set_exception(reply)
                    else:
                        waiting.reply.set_result(reply)
        finally:
            self._sending = None

    async def _replies_in_time(self, batch: list[Waiting]) -> list[Any]:
        replies = asyncio.create_task(self._replies(batch))
        await asyncio.wait({replies}, timeout=self._timeout_s)
        if not replies.done():
            # If it was this process that had no time, they are there to be read.
            await asyncio.wait({replies}, timeout=GRACE_S)
        if not replies.done():
            replies.cancel()
            await asyncio.wait({replies})
            raise TimeoutError(f"no answer within {self._timeout_s} s")
        return replies.result()

    async def _replies(self, batch: list[Waiting]) -> list[Any]:
        replies = await self._execute(batch)
        # Redis has been restarted, or has never seen them.
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            for script in {batch[i].script for i in unknown}:
                await self._redis.script_load(script)
            again = await self._execute([batch[i] for i in unknown])
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        return replies

    async def _execute(self, batch: list[Waiting]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for waiting in batch:
                pipe.evalsha(self._digest(waiting.script), 0, waiting.arguments)
            return await pipe.execute(raise_on_error=False)

    def _digest(self, script: str) -> str:
        digest = self._digests.get(script)
        if digest is None:
            digest = self._digests[script] = sha1(script.encode()).hexdigest()
        return digest
