"""The calls that run in other processes, by way of the channel layer.

A process has one channel, in one group, whatever the number of its clients: the in-memory layer
looks through all its channels at each message, and 500 of them took a core. While somebody watches
the feed of a process, it sends a request twice a second, and the others send snapshots of their
running calls. A process alone, with the layer in memory, gets no snapshots.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from channels.layers import get_channel_layer

from capture.tasks import cancel_tasks
from reports.json_encoding import encode
from reports.live.running import UNKNOWN, running_calls
from reports.queries.call_list import ShortCall

logger = logging.getLogger("agentledger.live")

GROUP = "live"
REQUEST, SNAPSHOT = "live.request", "live.snapshot"
INTERVAL_S = 0.5
# What has not been repeated for so long is over: its process has ended, or nobody watches.
EXPIRY_S = 3.0
FLUSH_TIMEOUT_S = 1.0


class Snapshot(NamedTuple):
    """The running calls of another process, as it has sent them."""

    received_at: float  # time.monotonic()
    calls: dict[str, ShortCall]  # by action_id


class RunningElsewhere:
    """This process's member of the group `live`."""

    def __init__(self) -> None:
        self.is_member = False
        self._process_id = secrets.token_hex(8)
        self._snapshots: dict[str, Snapshot] = {}
        # By time.monotonic(): when a client of this process, or of another, last watched.
        self._read_at = self._requested_at = float("-inf")
        self._is_needed = asyncio.Event()
        self._is_unavailable = False

    def read(self) -> dict[str, ShortCall]:
        """Returns the running calls of the other processes by action_id, and makes these go on
        sending them for some seconds."""
        self._read_at = time.monotonic()
        self._is_needed.set()
        oldest = self._read_at - EXPIRY_S
        self._snapshots = {id_: s for id_, s in self._snapshots.items() if s.received_at > oldest}
        return {
            id_: call
            for snapshot in self._snapshots.values()
            for id_, call in snapshot.calls.items()
        }

    async def run(self) -> None:
        """Exchanges messages with the other processes until it is cancelled."""
        self.is_member = True
        layer = get_channel_layer()
        receiving = asyncio.create_task(self._receive(layer))
        try:
            await self._send(layer)
        finally:
            try:
                # First: the task's channel is then unknown, and it need not ask Redis to
                # unsubscribe it.
                await _flush(layer)
            finally:
                await cancel_tasks([receiving])

    async def _send(self, layer: Any) -> None:
        while True:
            now = time.monotonic()
            is_watched = now - self._read_at < EXPIRY_S
            is_requested = now - self._requested_at < EXPIRY_S
            if is_watched:
                await self._group_send(layer, {"type": REQUEST})
            if is_requested:
                calls = [_known_fields(call) for call in running_calls().values()]
                await self._group_send(layer, {"type": SNAPSHOT, "calls": encode(calls)})
            if is_watched or is_requested:
                await asyncio.sleep(INTERVAL_S)
            else:
                self._is_needed.clear()
                await self._is_needed.wait()

    async def _group_send(self, layer: Any, message: dict[str, Any]) -> None:
        try:
            await layer.group_send(GROUP, {**message, "process": self._process_id})
        # Redis's errors, and those of the layer's own. In memory nothing fails, and there Redis's
        # client is not imported, which takes 40 ms: so its errors cannot be named here.
        except Exception as error:
            self._report(error)
        else:
            self._is_unavailable = False

    async def _receive(self, layer: Any) -> None:
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(GROUP, channel)
                self._is_unavailable = False
                while True:
                    self._take(await layer.receive(channel))
            except Exception as error:  # as above; or a message of another version's process
                self._report(error)
            await asyncio.sleep(INTERVAL_S)
            await _flush(layer)  # otherwise it would keep a channel for each attempt

    def _report(self, error: Exception) -> None:
        """Logs an error once, until something succeeds again."""
        if not self._is_unavailable:
            logger.warning("calls that run in other processes are not shown: %s", error)
        self._is_unavailable = True

    def _take(self, message: dict[str, Any]) -> None:
        sender = message["process"]
        if sender == self._process_id:
            return
        now = time.monotonic()
        if message["type"] == REQUEST:
            self._requested_at = now
            self._is_needed.set()
        else:
            calls = {
                call["action_id"]: _short_call(call) for call in orjson.loads(message["calls"])
            }
            self._snapshots[sender] = Snapshot(now, calls)


async def _flush(layer: Any) -> None:
    """Closes the layer's connections, and ends the task that reads them: it would outlive this
    process's own tasks, and keep the event loop from ending."""
    flushing = asyncio.create_task(layer.flush())
    await asyncio.wait({flushing}, timeout=FLUSH_TIMEOUT_S)
    if not flushing.done():  # redis-py has lost the cancellation of that task
        await cancel_tasks([flushing])


def _known_fields(call: ShortCall) -> ShortCall:
    return {name: value for name, value in call.items() if value is not None}


def _short_call(fields: dict[str, Any]) -> ShortCall:
    return {**UNKNOWN, **fields, "timestamp": datetime.fromisoformat(fields["timestamp"])}


running_elsewhere = RunningElsewhere()
