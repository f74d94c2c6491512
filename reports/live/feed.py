"""Follows the ledger while somebody watches, and sends what is new to all who do.

There is one feed and one task a process. It reads a batch of calls once, encodes it once for each
distinct watch, and puts the same text into every mailbox of that watch, at most twice a second. It
asks the ledger for its end instead of being woken: docs/decisions/live-feed-polls.md says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from typing import Any

from django.conf import settings

from access.redaction import redact_error
from capture.ledger.changes import LedgerPosition, newest_position
from capture.proxy import runtime
from reports.live.ledger_reader import FAILURES, LedgerReader, News, read_missed
from reports.live.mailbox import GAP, Mailbox
from reports.live.messages import (
    Changes,
    RenderRows,
    hello_message,
    missed_message,
    news_message,
)
from reports.live.running import running_calls
from reports.live.running_elsewhere import RunningElsewhere
from reports.live.watch import MAX_LIMIT, Since, Watch
from reports.queries.call_list import ShortCall
from reports.queries.ledger_position import stops_in_force

logger = logging.getLogger("agentledger.live")

INTERVAL_S = 0.5
# The last snapshot of another process may hold calls that have been recorded since.
MAX_REMEMBERED = 5000


class Feed:
    def __init__(self, render_rows: RenderRows, elsewhere: RunningElsewhere) -> None:
        self._render_rows = render_rows
        self._elsewhere = elsewhere
        self._mailboxes: defaultdict[Watch, set[Mailbox]] = defaultdict(set)
        self._n_joining = 0
        self._task: asyncio.Task[None] | None = None
        self._position: LedgerPosition | None = None  # None: the ledger has not been read yet
        self._has_position = asyncio.Event()
        self._reader: LedgerReader | None = None
        self._running: dict[str, ShortCall] = {}
        self._recorded: OrderedDict[str, None] = OrderedDict()  # action_ids, as an ordered set
        self._stops: list[dict[str, Any]] = []
        self._figures: dict[str, Any] = {}
        self._is_unavailable = False

    async def join(self, mailbox: Mailbox, since: Since | None) -> None:
        """Puts hello into the mailbox, then what was missed since `since`, then all news. Waits for
        a ledger that is unavailable. Raises runtime.ShuttingDown."""
        self._n_joining += 1
        try:
            self._begin()
            await self._has_position.wait()
            messages = await self._read_missed(mailbox.watch, since)
            # From here on nothing is awaited: no news can come in between.
            self._mailboxes[mailbox.watch].add(mailbox)
            for message in (self._hello(mailbox.watch), *messages):
                mailbox.put(message)
        finally:
            self._n_joining -= 1

    def leave(self, mailbox: Mailbox) -> None:
        mailboxes = self._mailboxes.get(mailbox.watch, set())
        mailboxes.discard(mailbox)
        if not mailboxes:
            self._mailboxes.pop(mailbox.watch, None)

    @property
    def _is_watched(self) -> bool:
        return bool(self._mailboxes or self._n_joining)

    def _begin(self) -> None:
        if self._task is None:
            self._has_position.clear()
            self._task = runtime.ensure_running().accompany(self._follow())

    async def _follow(self) -> None:
        self._reader = reader = LedgerReader()
        self._running, self._figures = self._all_running(), {}
        try:
            while self._is_watched:
                try:
                    await self._read(reader)
                # Whatever is wrong with one call must not silence the feed for all others.
                except Exception:
                    logger.exception("the live feed could not send what is new")
                    self._position = await self._skip(reader)
                await asyncio.sleep(INTERVAL_S)
        finally:
            self._task = None
            self._position = None
            await reader.close()

    async def _read(self, reader: LedgerReader) -> None:
        running = self._all_running()  # before the ledger: a call that is there does not run
        with_sessions = any(watch.with_sessions for watch in self._mailboxes)
        try:
            if self._position is None:
                self._position = await reader.run(newest_position)
                self._stops = await reader.run(stops_in_force)
            news = await reader.run(reader.read_news, self._position, with_sessions)
            self._is_unavailable = False
        except FAILURES as error:
            if not self._is_unavailable:
                reason = redact_error(error, settings.AGENTLEDGER.dsn)
                logger.warning("the live feed cannot read the ledger: %s", reason)
            self._is_unavailable = True
            if self._position is None:
                return
            news = News(self._position)
        self._publish(running, news)
        self._has_position.set()

    async def _skip(self, reader: LedgerReader) -> LedgerPosition | None:
        """Announces a gap and returns the ledger's end, to go on from there."""
        self._put_to_all(GAP)
        try:
            return await reader.run(newest_position)
        except FAILURES:
            return self._position

    def _all_running(self) -> dict[str, ShortCall]:
        return {**self._elsewhere.read(), **running_calls()}

    def _put_to_all(self, message: str) -> None:
        for mailboxes in self._mailboxes.values():
            for mailbox in mailboxes:
                mailbox.put(message)

    def _publish(self, running: dict[str, ShortCall], news: News) -> None:
        self._position = news.position
        changes = self._changes(running, news)
        if news.gap:
            self._put_to_all(GAP)
            return
        for watch, mailboxes in self._mailboxes.items():
            message = news_message(watch, changes, self._render_rows)
            if message is not None:
                for mailbox in mailboxes:
                    mailbox.put(message)

    def _changes(self, running: dict[str, ShortCall], news: News) -> Changes:
        """Compares with what was sent before, and remembers `running` and `news` for next time."""
        recorded = [str(call["action_id"]) for call in news.calls]
        self._remember(recorded)
        running = {id_: call for id_, call in running.items() if id_ not in self._recorded}
        before, self._running = self._running, running
        for_all: dict[str, Any] = {}
        if news.stops is not None:
            self._stops = for_all["stops"] = news.stops
        if news.deleted:
            for_all["deleted"] = news.deleted
        if news.figures is not None or len(running) != len(before):
            self._figures = {**(news.figures or self._figures), "running": len(running)}
            for_all["now"] = self._figures
        return Changes(
            news=news,
            started=[call for id_, call in running.items() if id_ not in before],
            ended=[call for id_, call in before.items() if id_ not in running],
            recorded=set(recorded),
            for_all=for_all,
        )

    def _remember(self, recorded: list[str]) -> None:
        self._recorded.update(dict.fromkeys(recorded))
        while len(self._recorded) > MAX_REMEMBERED:
            self._recorded.popitem(last=False)

    def _hello(self, watch: Watch) -> str:
        assert self._position is not None
        figures = {**self._figures, "running": len(self._running)}
        running = self._running.values()
        return hello_message(
            watch, self._position, running, self._stops, figures, self._render_rows
        )

    async def _read_missed(self, watch: Watch, since: Since | None) -> list[str]:
        """Returns a message with what was missed, or one that announces a gap; empty if nothing was
        missed."""
        assert self._position is not None
        if since is None:
            return []
        missed = await self._read_missed_news(watch, since)
        message = GAP if missed is None else missed_message(missed, watch, self._render_rows)
        return [message] if message is not None else []

    async def _read_missed_news(self, watch: Watch, since: Since) -> News | None:
        """Returns what came after `since`, up to the position of the feed, which goes on while this
        is read; None: it is too much, unavailable, or of another ledger."""
        assert self._position is not None
        missed = News(self._position)
        while not since.has_reached(self._position):
            until = self._position
            if since.is_beyond(until) or self._reader is None:
                return None
            try:
                more = await self._reader.run(read_missed, watch.filter, since, until)
            except FAILURES:
                return None
            if more is None or len(missed.calls) + len(more.calls) > MAX_LIMIT:
                return None
            missed.position = until
            missed.calls += more.calls
            missed.deleted_sessions += more.deleted_sessions
            missed.deleted_calls += more.deleted_calls
            since = Since(*until)
        return missed
