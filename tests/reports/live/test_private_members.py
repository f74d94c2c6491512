"""The private members of channels_redis that our channel layer replaces. An upgrade that renames
one fails here."""

from __future__ import annotations

import inspect

from channels_redis.pubsub import RedisPubSubLoopLayer, RedisSingleShardConnection


def test_a_connection_makes_its_subscription_with_its_client() -> None:
    source = inspect.getsource(RedisSingleShardConnection._ensure_redis)
    assert "if self._redis is None:" in source
    assert "self._pubsub = self._redis.pubsub()" in source


def test_a_connection_reads_with_a_time_limit() -> None:
    source = inspect.getsource(RedisSingleShardConnection._do_receiving)
    assert "await self._pubsub.get_message(" in source
    assert "ignore_subscribe_messages=True, timeout=0.1" in source


def test_a_layer_makes_its_connections_at_once() -> None:
    source = inspect.getsource(RedisPubSubLoopLayer.__init__)
    assert "RedisSingleShardConnection(host, self) for host in decode_hosts(hosts)" in source
