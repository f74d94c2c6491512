"""The parts of a proxy process: spool, upstream client, recorder, admission, counters.

It begins with the server's lifespan or, without one, with the first request. Everything here
belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from django.conf import settings

from access import garbage_collection
from capture.admission.deletions import Deletions
from capture.admission.gate import Admission
from capture.admission.ingest_keys import IngestKeys
from capture.admission.ingest_tokens import IngestTokens
from capture.admission.ledger_watch import LedgerWatch
from capture.admission.limiter import Limiter
from capture.admission.refusal_floods import Floods
from capture.admission.stops import Stops
from capture.exchange import Outcome, new_action_id
from capture.proxy import own_spool
from capture.proxy.browser_requests import AllowedOrigins
from capture.proxy.child_processes import RecorderProcess, SinksProcess
from capture.spool.file_modes import close_to_others, database_files, spool_files
from capture.spool.folder import Folder, SpoolError
from capture.spool.writer import Writer
from capture.sqlite.files import create_if_missing
from capture.tasks import cancel_tasks
from capture.upstream.client import UpstreamClient
from capture.upstream.own_secrets import OwnSecrets
from capture.upstream.routing import Destinations

logger = logging.getLogger("agentledger.proxy")

# A busy thread (a page, an export) delays calls by the interpreter's switch interval.
SWITCH_INTERVAL_S = 0.0005
TICK_S = 5.0


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The settings that calls read, under the names that they have in the configuration."""

    extra_paths: tuple[str, ...]
    inject_usage: bool
    budget_midstream: bool
    on_full: Literal["block", "pass"]
    upstream_connect_timeout_s: float
    upstream_trust_env: bool
    shutdown_s: float

    @classmethod
    def from_settings(cls) -> ProxyConfig:
        return cls(**{f.name: getattr(settings.AGENTLEDGER, f.name) for f in fields(cls)})


@dataclass(slots=True)
class Counters:
    """Counts since this process began."""

    calls: int = 0
    unrecorded: int = 0  # forwarded without a record, because the spool was full
    refused_full: int = 0
    passed_through: int = 0  # traffic that is not recorded as calls
    refused: int = 0  # by a stop, a policy, a limit or a budget
    refused_keys: int = 0  # without the ingest key, or with a wrong one; these are not recorded
    refused_pages: int = 0  # sent by browsers for what no page may have; these are not recorded


@dataclass(slots=True)
class Runtime:
    config: ProxyConfig
    folder: Folder
    writer: Writer
    destinations: Destinations
    upstream: UpstreamClient
    recorder: RecorderProcess
    sinks: SinksProcess
    admission: Admission
    limiter: Limiter
    own_secrets: OwnSecrets
    allowed_origins: AllowedOrigins
    watch: LedgerWatch
    lock: int  # descriptor of the lock that this process holds on the spool folder
    floods: Floods = field(default_factory=Floods)
    counters: Counters = field(default_factory=Counters)
    n_running: int = 0
    stopping: bool = False
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _tick: asyncio.TimerHandle | None = None
    _unfinished: set[asyncio.Task[None]] = field(default_factory=set)
    _companions: set[asyncio.Task[None]] = field(default_factory=set)

    def call_begins(self) -> None:
        self.n_running += 1

    def call_ends(self) -> None:
        self.n_running -= 1
        if self.n_running == 0:
            self._idle.set()

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what is left to do of a call after its task; the process waits for it at its end."""
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)

    def accompany(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs what goes on beside the calls; it is cancelled when the process ends."""
        task = asyncio.ensure_future(work)
        self._companions.add(task)
        task.add_done_callback(self._companions.discard)
        return task

    async def wait_for_rest(self) -> None:
        """Waits for all that was given to `finish`."""
        await asyncio.gather(*self._unfinished, return_exceptions=True)

    async def wait_for_calls(self, timeout_s: float) -> None:
        """Waits until no call is running, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.n_running:
                    self._idle.clear()
                    await self._idle.wait()

    def tick(self) -> None:
        self._tick = asyncio.get_running_loop().call_later(TICK_S, self.tick)
        with contextlib.suppress(SpoolError):  # /readyz and the next calls report it
            self.writer.tidy()
            self.record_floods()
        self.finish(self.limiter.tick())

    def record_floods(self, *, all_: bool = False) -> None:
        """Raises SpoolError."""
        for flood in self.floods.pop_finished(all_=all_):
            entry = self.writer.begin(new_action_id(), flood.head, b"")
            entry.end(Outcome.REFUSED, flood.message)


class ShuttingDown(Exception):
    """This process takes no more calls."""


_runtime: Runtime | None = None
_is_over = False


def current() -> Runtime | None:
    return _runtime


def ensure_running() -> Runtime:
    """Returns the runtime of this process, which begins if it has not. Raises SpoolError and
    ShuttingDown. Needs a running event loop."""
    global _runtime
    if _is_over:
        raise ShuttingDown
    if _runtime is None:
        _runtime = _begin()
        _runtime.tick()
        _runtime.finish(_runtime.limiter.correct())
    return _runtime


def _begin() -> Runtime:
    config = settings.AGENTLEDGER
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    garbage_collection.exclude_current_objects()
    folder = Folder(config.spool_path)
    folder.prepare()
    lock = own_spool.lock(folder)
    with contextlib.suppress(OSError):  # the recorder reports it
        create_if_missing(config.sqlite_path)
    own_spool.claim(folder)
    keys = config.spool_path.parent.glob("agentledger-*-key")
    close_to_others([*database_files(config.sqlite_path), *spool_files(folder), *keys])
    recorder = RecorderProcess()
    stops = Stops(folder.path / "stops.json")
    ingest = IngestKeys(config.ingest_key, IngestTokens(folder.path / "ingest-tokens.json"))
    deletions = Deletions("deletions", folder.path / "deletions.json", int, 0)
    watch = LedgerWatch([stops, ingest.tokens, deletions])
    watch.begin()
    limits = Limiter.begin(folder, has_token_budgets=ingest.tokens.have_budgets)
    return Runtime(
        config=ProxyConfig.from_settings(),
        folder=folder,
        writer=Writer(
            folder, max_bytes=config.spool_max_mb * 1024 * 1024, fsync=config.spool_fsync
        ),
        destinations=Destinations(config.upstreams, config.default_upstream_url),
        upstream=_new_client(),
        recorder=recorder,
        sinks=SinksProcess(),
        admission=Admission.from_settings(ingest, stops, limits.state, limits.estimator),
        limiter=limits,
        own_secrets=OwnSecrets((config.api_key, config.ingest_key)),
        allowed_origins=AllowedOrigins(config.allow_browsers),
        watch=watch,
        lock=lock,
    )


def _new_client() -> UpstreamClient:
    config = settings.AGENTLEDGER
    return UpstreamClient(
        connect_timeout_s=config.upstream_connect_timeout_s,
        read_timeout_s=config.upstream_read_timeout_s,
        pool_size=config.upstream_pool_size,
        trust_env=config.upstream_trust_env,
    )


async def drain() -> None:
    """Waits for running calls for as long as AGENTLEDGER_SHUTDOWN_S says. Calls that still arrive
    are served, and their connections closed."""
    if _runtime is not None:
        _runtime.stopping = True
        own_spool.mark_stopping(_runtime.lock)
        await _runtime.wait_for_calls(_runtime.config.shutdown_s)


async def end() -> None:
    """Closes what the runtime holds. Calls that still run are given up."""
    global _runtime, _is_over
    runtime, _runtime, _is_over = _runtime, None, True
    if runtime is None:
        return
    if runtime._tick is not None:
        runtime._tick.cancel()
    await cancel_tasks(runtime._companions)
    await runtime.upstream.close()
    await runtime.wait_for_rest()
    await runtime.limiter.close()
    runtime.watch.end()
    with contextlib.suppress(SpoolError):
        runtime.record_floods(all_=True)
    runtime.writer.close()
    await asyncio.gather(
        asyncio.to_thread(runtime.recorder.stop), asyncio.to_thread(runtime.sinks.stop)
    )
    os.close(runtime.lock)
