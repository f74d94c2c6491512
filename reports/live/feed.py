"""Follows the ledger while anyone watches, and tells all who do.

One task a process. A batch is read once, encoded once for each distinct watch, and the same text
goes to every socket of that watch, at most twice a second. Nothing wakes it: a question for one row
twice a second costs less than to be woken by each batch, and finds calls within the same time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from typing import Any

from django.conf import settings

from access.redaction import redact_error
from capture.proxy import runtime
from reports.dashboard.live_rows import rendered
from reports.json_encoding import encode
from reports.live.ledger_reader import (
    FAILURES,
    LedgerReader,
    News,
    Since,
)
from reports.live.ledger_reader import missed as missed_since
from reports.live.mailbox import GAP, Client
from reports.live.processes import shared
from reports.live.running import running_here
from reports.live.watch import MAX_LIMIT, Watch
from reports.queries.call_list import ShortCall
from reports.queries.ledger_position import LedgerPosition, newest_position, stops_in_force

logger = logging.getLogger("agentledger.live")

EVERY_S = 0.5
# Another process may tell of a call that it has just ended: those recorded lately run no more.
REMEMBERED = 5000

Message = dict[str, Any]


class Feed:
    def __init__(self) -> None:
        self._clients: defaultdict[Watch, set[Client]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._place: LedgerPosition | None = None
        self._known = asyncio.Event()  # the place is
        self._reader: LedgerReader | None = None
        self._running: dict[str, ShortCall] = {}
        self._recorded: OrderedDict[str, None] = OrderedDict()
        self._stops: list[Message] = []
        self._figures: Message = {}
        self._n_waiting = 0  # clients that join
        self._away = False

    async def join(self, client: Client, since: Since | None) -> None:
        """From now on it is told. First comes hello, then what it missed since `since`."""
        self._n_waiting += 1
        try:
            self._begin()
            await self._known.wait()
            missed = await self._missed(client.watch, since)
            self._clients[client.watch].add(client)  # nothing is awaited between these
            client.offer(self._hello(client.watch))
            if missed is None:
                client.offer(GAP)
            elif missed.calls or missed.deleted:
                client.offer(_text(_of_missed(missed, client.watch)))
        finally:
            self._n_waiting -= 1

    def leave(self, client: Client) -> None:
        clients = self._clients.get(client.watch, set())
        clients.discard(client)
        if not clients:
            self._clients.pop(client.watch, None)

    @property
    def _is_watched(self) -> bool:
        return bool(self._clients or self._n_waiting)

    def _begin(self) -> None:
        if self._task is None:
            self._known.clear()
            self._task = runtime.running().accompany(self._follow())

    async def _follow(self) -> None:
        self._reader = reader = LedgerReader()
        self._running, self._figures = await self._running_now(), {}
        try:
            while self._is_watched:
                try:
                    await self._look(reader)
                except Exception:  # one call that cannot be told must not silence the others
                    logger.exception("the live feed could not tell what is new")
                    self._place = await self._skipped(reader)
                await asyncio.sleep(EVERY_S)
        finally:
            self._task = None
            self._place = None
            await reader.close()

    async def _look(self, reader: LedgerReader) -> None:
        running = await self._running_now()  # before the ledger: what is there runs no more
        with_sessions = any(watch.sessions for watch in self._clients)
        try:
            if self._place is None:
                self._place = await reader.run(newest_position)
                self._stops = await reader.run(stops_in_force)
            news = await reader.run(reader.news, self._place, with_sessions)
            self._away = False
        except FAILURES as error:
            if not self._away:
                reason = redact_error(error, settings.AGENTLEDGER.dsn)
                logger.warning("the live feed cannot read the ledger: %s", reason)
            self._away = True
            if self._place is None:
                return
            news = News(self._place)
        self._tell(running, news)
        self._known.set()

    async def _skipped(self, reader: LedgerReader) -> LedgerPosition | None:
        """The ledger's end: clients are told that there is a gap."""
        for clients in self._clients.values():
            for client in clients:
                client.offer(GAP)
        try:
            return await reader.run(newest_position)
        except FAILURES:
            return self._place

    async def _running_now(self) -> dict[str, ShortCall]:
        others = shared()
        if others is None:
            return running_here()
        return {**await others.of_others(), **running_here()}

    def _tell(self, running: dict[str, ShortCall], news: News) -> None:
        self._place = news.place
        recorded = [str(call["action_id"]) for call in news.calls]
        self._recorded.update(dict.fromkeys(recorded))
        while len(self._recorded) > REMEMBERED:
            self._recorded.popitem(last=False)
        # Recorded, it runs no more, though another process may not have told yet that it has ended.
        running = {id_: call for id_, call in running.items() if id_ not in self._recorded}
        started = [call for id_, call in running.items() if id_ not in self._running]
        ended = [call for id_, call in self._running.items() if id_ not in running]
        n_before, self._running = len(self._running), running
        if news.stops is not None:
            self._stops = news.stops
        common: Message = {}
        if news.stops is not None:
            common["stops"] = news.stops
        if news.deleted:
            common["deleted"] = news.deleted
        if news.figures is not None or len(running) != n_before:
            self._figures = {**(news.figures or self._figures), "running": len(running)}
            common["now"] = self._figures
        for watch, clients in self._clients.items():
            if news.gap:
                message = GAP
            else:
                told = {**_of_watch(watch, started, ended, set(recorded), news), **common}
                place = {"seq": news.place.seq, "place": news.place.text()}
                message = _text({**told, **place}) if told else ""
            if message:
                for client in clients:
                    client.offer(message)

    def _hello(self, watch: Watch) -> str:
        assert self._place is not None
        running = [c for c in self._running.values() if watch.filter.matches_running(c)]
        hello: Message = {
            "type": "hello",
            "seq": self._place.seq,
            "place": self._place.text(),
            "running": running,
            "stops": self._stops,
            "now": {**self._figures, "running": len(self._running)},
        }
        if watch.zone is not None:
            hello["running_rows"] = rendered(running, watch.zone)
        return encode(hello).decode()

    async def _missed(self, watch: Watch, since: Since | None) -> News | None:
        """Up to the place where the feed is; None: too many, or the ledger is another one."""
        assert self._place is not None
        found = News(self._place)
        while since is not None and not since.has_reached(self._place):
            until = self._place
            if since.seq > until.seq or (since.audit_id or 0) > until.audit_id:
                return None
            if self._reader is None:
                return None
            try:
                more = await self._reader.run(missed_since, watch.filter, since, until, MAX_LIMIT)
            except FAILURES:
                return None
            if more is None or len(found.calls) + len(more.calls) > MAX_LIMIT:
                return None
            found.place = until
            found.calls += more.calls
            found.deleted_sessions += more.deleted_sessions
            found.deleted_calls += more.deleted_calls
            since = Since(*until)
        return found


def _of_missed(missed: News, watch: Watch) -> Message:
    told: Message = {"place": missed.place.text()}
    if missed.calls:
        told |= _news_of_calls(missed.calls, watch, MAX_LIMIT)
    if missed.deleted:
        told["deleted"] = missed.deleted
    return told


def _of_watch(
    watch: Watch, started: list[ShortCall], ended: list[ShortCall], recorded: set[str], news: News
) -> Message:
    """What of the news is for it; empty: nothing. A finish beats a start."""
    told: Message = {}
    matches_running = watch.filter.matches_running
    begun = [c for c in started if c["action_id"] not in recorded and matches_running(c)]
    if begun:
        told["started"] = begun
        if watch.zone is not None:
            told["started_rows"] = rendered(begun, watch.zone)
    over = [c["action_id"] for c in ended if c["action_id"] not in recorded and matches_running(c)]
    calls = [call for call in news.calls if watch.filter.matches(call)]
    # Those that ran as one of these, and turned out to be none.
    ids = {str(call["action_id"]) for call in calls}
    over += [
        c["action_id"]
        for c in ended
        if c["action_id"] in recorded and c["action_id"] not in ids and matches_running(c)
    ]
    if over:
        told["ended"] = over
    if calls:
        told |= _news_of_calls(calls, watch, watch.limit)
    if watch.sessions and news.sessions:
        told["sessions"] = news.sessions
    return told


def _news_of_calls(calls: list[ShortCall], watch: Watch, limit: int) -> Message:
    shown = calls[-limit:]
    told: Message = {"calls": shown, "more": len(calls) - len(shown), "seq": calls[-1]["seq"]}
    if watch.zone is not None:
        told["rows"] = rendered(shown, watch.zone)
    return told


def _text(told: Message) -> str:
    return encode({"type": "news", **told}).decode()


feed = Feed()
