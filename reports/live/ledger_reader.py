"""Reads what is new in the ledger, over one connection, which lives as long as somebody watches.

Calls are followed by their `seq`. What operators change has none: it is in the audit log, which is
followed by the ids of its entries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connection
from django.utils.timezone import now

from access.models import AuditEntry
from capture.ledger.changes import ChangeProbe, LedgerPosition, newest_position
from capture.models import Call, Session
from reports.live.watch import MAX_LIMIT, Since
from reports.output.call_json import session_json
from reports.queries.call_list import CallFilter, ShortCall, short_calls
from reports.queries.ledger_position import live_figures, stops_in_force

# More calls than this at once are a backlog: clients are better served by the list of calls.
MAX_CALLS = 2000
MAX_SESSIONS = 200
FIGURES_INTERVAL_S = 1.0
FAILURES = (DatabaseError, InterfaceError)

T = TypeVar("T")


@dataclass(slots=True)
class News:
    """The changes of the ledger up to `position`, for clients that have seen all before."""

    position: LedgerPosition
    calls: list[ShortCall] = field(default_factory=list)  # in the order of seq
    gap: bool = False  # True: there were more than MAX_CALLS, and `calls` is empty
    sessions: list[dict[str, Any]] = field(default_factory=list)
    stops: list[dict[str, Any]] | None = None  # all that are in force; None: unchanged
    deleted_sessions: list[str] = field(default_factory=list)
    deleted_calls: list[str] = field(default_factory=list)
    figures: dict[str, Any] | None = None  # None: unchanged

    @property
    def deleted(self) -> dict[str, list[str]] | None:
        """The ids of what was deleted; None: nothing was."""
        if not self.deleted_sessions and not self.deleted_calls:
            return None
        return {"sessions": self.deleted_sessions, "calls": self.deleted_calls}


class LedgerReader:
    """A thread of its own with a database connection of its own. `run` does its work there."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self._probe = ChangeProbe()
        self._figures_at = float("-inf")  # monotonic
        self._figures_day: date | None = None
        self._figures_position: LedgerPosition | None = None
        self._figures: dict[str, Any] = {}

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Returns what `work` returns. Raises one of FAILURES."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _run, work, *args)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, _disconnect)
        self._thread.shutdown(wait=False)

    def read_news(self, since: LedgerPosition, with_sessions: bool) -> News:
        has_changed = self._probe.may_have_changed()
        news = News(newest_position() if has_changed else since)
        last_seq = news.position.seq
        changed: set[str] = set()
        if news.position.audit_id > since.audit_id:
            _read_audit_log(since.audit_id, news, changed)
        if last_seq - since.seq > MAX_CALLS:
            news.gap = True
        elif last_seq > since.seq:
            calls = Call.objects.not_deleted().filter(seq__gt=since.seq, seq__lte=last_seq)
            news.calls = short_calls(calls.order_by("seq"))
        if with_sessions:
            changed.update(call["session_id"] for call in news.calls if call["session_id"])
            news.sessions = read_sessions(changed)
        news.figures = self._new_figures(news.position)
        return news

    def _new_figures(self, position: LedgerPosition) -> dict[str, Any] | None:
        """Returns None where they are the same, or were read within the last second."""
        at = time.monotonic()
        if at - self._figures_at < FIGURES_INTERVAL_S:
            return None
        today = now().date()
        if position == self._figures_position and not self._have_figures_passed(today):
            return None
        self._figures_at, self._figures_day, self._figures_position = at, today, position
        figures = live_figures(now())
        if figures == self._figures:
            return None
        self._figures = figures
        return figures

    def _have_figures_passed(self, today: date) -> bool:
        """Returns whether they may be others by now, although no call came: a minute and a day pass
        by themselves."""
        return bool(self._figures["calls_per_minute"]) or today != self._figures_day


def read_missed(filter: CallFilter, since: Since, until: LedgerPosition) -> News | None:
    """Returns the calls and deletions after `since`, up to `until`; None: they are more than
    MAX_LIMIT."""
    news = News(until)
    calls = Call.objects.not_deleted().filter(seq__gt=since.seq, seq__lte=until.seq)
    news.calls = short_calls(calls.filter(filter.where()).order_by("seq")[: MAX_LIMIT + 1])
    if since.audit_id is not None:
        _read_audit_log(since.audit_id, news, set())
    n_deleted = len(news.deleted_calls) + len(news.deleted_sessions)
    return news if len(news.calls) + n_deleted <= MAX_LIMIT else None


def read_sessions(session_ids: set[str]) -> list[dict[str, Any]]:
    """Returns the totals of those that called last, MAX_SESSIONS of them at most."""
    if not session_ids:
        return []
    found = Session.objects.not_deleted().filter(session_id__in=sorted(session_ids))
    return [session_json(session) for session in found.order_by("-last_call_at")[:MAX_SESSIONS]]


def _read_audit_log(since: int, news: News, changed: set[str]) -> None:
    """Adds deletions and stops to `news`, and ids of sessions with other labels to `changed`."""
    entries = AuditEntry.objects.filter(id__gt=since, id__lte=news.position.audit_id)
    actions = ("session.delete", "call.delete", "session.annotate", "stop.create", "stop.lift")
    for action, name in entries.filter(action__in=actions).values_list("action", "object"):
        match action:
            case "session.delete":
                news.deleted_sessions.append(name)
            case "call.delete":
                news.deleted_calls.append(name)
            case "session.annotate":
                changed.add(name)
            case _:
                news.stops = stops_in_force()


def _disconnect() -> None:
    connection.close()  # the reader's: each thread has its own


def _run(work: Callable[..., T], *args: Any) -> T:
    try:
        return work(*args)
    except FAILURES:
        connection.close()  # so that the next work opens another
        raise
