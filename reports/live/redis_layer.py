"""The channel layer on Redis. That of channels_redis looks for messages ten times a second, which
takes more than all else that a process does at rest; this one waits for them."""

from __future__ import annotations

from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer, RedisSingleShardConnection
from redis.asyncio.client import PubSub

# Then the wait begins again.
WAIT_S = 60.0


class WaitingPubSub(PubSub):
    async def get_message(
        self,
        ignore_subscribe_messages: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 (its caller passes one)
    ) -> Any:
        """Waits longer than channels_redis says."""
        return await super().get_message(ignore_subscribe_messages, timeout=WAIT_S)


class WaitingConnection(RedisSingleShardConnection):  # type: ignore[misc]  # it has no types
    def _ensure_redis(self) -> None:
        was_open = self._redis is not None
        super()._ensure_redis()
        if not was_open:
            self._pubsub = WaitingPubSub(self._redis.connection_pool)


class WaitingChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # it has no types
    """Replaces private parts of it: tests/reports/live/test_private_members.py says which."""

    def _get_layer(self) -> Any:
        layer = super()._get_layer()
        if not isinstance(layer._shards[0], WaitingConnection):
            layer._shards = [WaitingConnection(shard.host, layer) for shard in layer._shards]
        return layer
