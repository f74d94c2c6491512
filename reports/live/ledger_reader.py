"""What is new in the ledger, read in a thread of its own over one connection while anyone watches.

Calls are followed by `seq`. What operators change has no seq: it is in the audit log, which is
followed by its own numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db import DatabaseError, InterfaceError, connection
from django.utils.timezone import now

from access.models import AuditEntry
from capture.models import Call, Session
from reports.output.call_json import session_json
from reports.queries.call_list import CallFilter, ShortCall, short_calls
from reports.queries.ledger_position import (
    LedgerPosition,
    live_figures,
    newest_position,
    stops_in_force,
)

# More than this at once is no news but a backlog: clients are told to read the list again.
MOST_CALLS = 2000
MOST_SESSIONS = 200
FIGURES_EVERY = timedelta(seconds=1)
FAILURES = (DatabaseError, InterfaceError)

T = TypeVar("T")


class Since(NamedTuple):
    """What a client knows already."""

    seq: int
    audit_id: int | None = None  # None: it does not ask what was deleted

    def has_reached(self, place: LedgerPosition) -> bool:
        return self.seq == place.seq and self.audit_id in (None, place.audit_id)


@dataclass(slots=True)
class News:
    place: LedgerPosition
    calls: list[ShortCall] = field(default_factory=list)  # in the order of seq
    gap: bool = False  # there were too many: `calls` is empty
    sessions: list[dict[str, Any]] = field(default_factory=list)
    stops: list[dict[str, Any]] | None = None  # those in force; None: as they were
    deleted_sessions: list[str] = field(default_factory=list)
    deleted_calls: list[str] = field(default_factory=list)
    figures: dict[str, Any] | None = None  # None: as they were

    @property
    def deleted(self) -> dict[str, list[str]] | None:
        if not self.deleted_sessions and not self.deleted_calls:
            return None
        return {"sessions": self.deleted_sessions, "calls": self.deleted_calls}


class LedgerReader:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self._figures_at = datetime.min.replace(tzinfo=UTC)
        self._figures: dict[str, Any] = {}

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Raises one of FAILURES."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, _connected, work, *args
        )

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, _disconnect)
        self._thread.shutdown(wait=False)

    def news(self, place: LedgerPosition, with_sessions: bool) -> News:
        last = newest_position()
        news = News(last)
        changed: set[str] = set()
        if last.audit_id > place.audit_id:
            _read_audit(place.audit_id, news, changed)
        if last.seq - place.seq > MOST_CALLS:
            news.gap = True
        elif last.seq > place.seq:
            calls = Call.objects.not_deleted().filter(seq__gt=place.seq, seq__lte=last.seq)
            news.calls = short_calls(calls.order_by("seq"))
        if with_sessions:
            changed.update(call["session_id"] for call in news.calls if call["session_id"])
            news.sessions = sessions_of(changed)
        news.figures = self._new_figures()
        return news

    def _new_figures(self) -> dict[str, Any] | None:
        at = now()
        if at - self._figures_at < FIGURES_EVERY:
            return None
        self._figures_at = at
        figures = live_figures(at)
        if figures == self._figures:
            return None
        self._figures = figures
        return figures


def missed(filter: CallFilter, since: Since, until: LedgerPosition, limit: int) -> News | None:
    """The calls that were recorded and what was deleted after `since`, up to `until`; None: more
    than `limit`."""
    news = News(until)
    calls = Call.objects.not_deleted().filter(seq__gt=since.seq, seq__lte=until.seq)
    news.calls = short_calls(calls.filter(filter.where()).order_by("seq")[: limit + 1])
    if since.audit_id is not None:
        _read_audit(since.audit_id, news, set())
    n_deleted = len(news.deleted_calls) + len(news.deleted_sessions)
    return news if len(news.calls) + n_deleted <= limit else None


def _read_audit(since: int, news: News, changed: set[str]) -> None:
    entries = AuditEntry.objects.filter(id__gt=since, id__lte=news.place.audit_id)
    wanted = ("session.delete", "call.delete", "session.annotate", "stop.create", "stop.lift")
    for action, name in entries.filter(action__in=wanted).values_list("action", "object"):
        match action:
            case "session.delete":
                news.deleted_sessions.append(name)
            case "call.delete":
                news.deleted_calls.append(name)
            case "session.annotate":
                changed.add(name)
            case _:
                news.stops = stops_in_force()


def sessions_of(session_ids: set[str]) -> list[dict[str, Any]]:
    if not session_ids:
        return []
    found = Session.objects.not_deleted().filter(session_id__in=sorted(session_ids))
    return [session_json(session) for session in found.order_by("-last_call_at")[:MOST_SESSIONS]]


def _disconnect() -> None:
    connection.close()  # this thread's: the name means another one in another thread


def _connected(work: Callable[..., T], *args: Any) -> T:
    try:
        return work(*args)
    except FAILURES:
        connection.close()
        raise
