"""Calls that run in one process, as clients of another see them."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer

from capture.tasks import cancel_tasks
from reports.live.running_elsewhere import (
    EXPIRY_S,
    GROUP,
    SNAPSHOT,
    RunningElsewhere,
)
from reports.queries.call_list import ShortCall
from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import Ledger, ServerName
from tests.support.live import Listener, listen
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer

HELD = [canned.HOLD, *canned.as_json(canned.chat("done"))]


@contextmanager
def two_processes(
    provider: Provider, postgresql: str, tmp_path: Path, server: ServerName, redis_url: str
) -> Iterator[tuple[Ledger, Ledger]]:
    env = {"AGENTLEDGER_DSN": create_database(postgresql), "AGENTLEDGER_REDIS_URL": redis_url}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (Ledger(folder, provider.url, server=server, env=env) for folder in folders)
    with one, two:
        yield one, two


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_calls_of_another_process_are_shown(
    provider: Provider, postgresql: str, tmp_path: Path, server: ServerName
) -> None:
    with (
        RedisServer() as redis_server,
        two_processes(provider, postgresql, tmp_path, server, redis_server.url) as (one, two),
        ThreadPoolExecutor(1) as pool,
        listen(one, "rows=UTC") as (listener, _),
    ):
        provider.response(*HELD)
        response = pool.submit(two.post, "elsewhere")
        message = listener.wait_for("started")
        [started], [row] = message["started"], message["started_rows"]
        assert started["session_id"] == "elsewhere"
        assert f'data-since="{started["timestamp"]}"' in row
        provider.release()
        assert response.result().status_code == 200
        [call] = listener.calls(1)
        assert call["action_id"] == started["action_id"]
        with listen(one) as (_, hello):
            assert hello["running"] == []


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_they_are_shown_as_soon_as_redis_is_available(
    provider: Provider, postgresql: str, tmp_path: Path, server: ServerName
) -> None:
    with RedisServer() as redis_server:
        redis_server.stop()
        with two_processes(provider, postgresql, tmp_path, server, redis_server.url) as (one, two):
            for session in ("before", "after"):  # Redis was never there; Redis was lost
                provider.reset()
                with (
                    listen(one, f"session={session}") as (listener, _),
                    ThreadPoolExecutor(1) as pool,
                ):
                    assert one.post(session).status_code == 200
                    own = listener.calls(1)[0]["action_id"]
                    redis_server.start()
                    provider.response(*HELD)
                    response = pool.submit(two.post, session)
                    [started] = listener.wait_for("started", 60)["started"]
                    while started["action_id"] == own:
                        [started] = listener.wait_for("started", 60)["started"]
                    provider.release()
                    assert response.result().status_code == 200
                    assert listener.calls(1)[0]["action_id"] == started["action_id"]
                redis_server.stop()
        for ledger in (one, two):
            assert ledger.process is not None
            # uvicorn raises the signal again once it has shut down.
            assert ledger.process.returncode in (0, -signal.SIGTERM)
            log = ledger.log.read_text()
            assert "calls that run in other processes are not shown" in log
            assert "Traceback" not in log


def test_a_recorded_call_of_which_another_process_still_tells_does_not_start_again(
    fresh: Ledger,
) -> None:
    """The last snapshot of another process may be older than the ledger."""
    with RedisServer() as redis_server:
        fresh.env["AGENTLEDGER_REDIS_URL"] = redis_server.url
        with fresh, listen(fresh) as (listener, _):
            fresh.post("s")
            [recorded] = listener.calls(1)
            listener.messages.clear()  # that it started while it ran
            told = [
                {"action_id": id_, "timestamp": "2026-01-02T03:04:05+00:00"}
                for id_ in (recorded["action_id"], "the witness")
            ]
            message = {"type": SNAPSHOT, "process": "other", "calls": json.dumps(told).encode()}

            async def tell_until(heard: Future[Any]) -> None:
                layer = RedisPubSubChannelLayer(hosts=[redis_server.url], prefix="agentledger")
                while not heard.done():
                    await layer.group_send(GROUP, message)
                    await asyncio.sleep(0.1)
                await layer.flush()

            with ThreadPoolExecutor(1) as pool:
                heard = pool.submit(next_witness, listener)
                asyncio.run(tell_until(heard))
            assert recorded["action_id"] not in heard.result()


def next_witness(listener: Listener) -> list[str]:
    """The calls that start until the witness does, by action_id."""
    started: list[str] = []
    while "the witness" not in started:
        started += [call["action_id"] for call in listener.wait_for("started", 60)["started"]]
    return started


def test_snapshots_are_kept_by_process_until_they_expire() -> None:
    async def exchange() -> dict[str, ShortCall]:
        reader, layer = RunningElsewhere(), get_channel_layer()
        assert layer is not None
        task = asyncio.create_task(reader.run())
        call = {"action_id": "a", "timestamp": "2026-01-02T03:04:05+00:00", "agent_name": "writer"}
        message = {"type": SNAPSHOT, "process": "other", "calls": json.dumps([call]).encode()}
        async with asyncio.timeout(10):
            while not (calls := reader.read()):
                await layer.group_send(GROUP, message)
                await asyncio.sleep(0.01)
            await asyncio.sleep(EXPIRY_S)
            assert reader.read() == {}
        await cancel_tasks([task])
        assert layer.groups == {}
        return calls

    [(action_id, call)] = asyncio.run(exchange()).items()
    assert (action_id, call["agent_name"], call["session_id"]) == ("a", "writer", None)
    assert call["timestamp"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
