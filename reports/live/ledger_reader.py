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

from access.models import AuditChain, AuditEntry
from capture.ledger.rollup_sums import ERRORS, REFUSED, hour_of
from capture.models import Call, Ledger, Session, Spend, Stop
from reports.output.call_json import session_json
from reports.queries.call_list import WARNED, CallFilter, ShortCall, short_calls
from reports.queries.rollups import Period, added, summary

# More than this at once is no news but a backlog: clients are told to read the list again.
MOST_CALLS = 2000
MOST_SESSIONS = 200
FIGURES_EVERY = timedelta(seconds=1)
FAILURES = (DatabaseError, InterfaceError)

T = TypeVar("T")


class Place(NamedTuple):
    """Up to where the ledger and the audit log are known."""

    seq: int
    audit_id: int

    def text(self) -> str:
        return f"{self.seq}.{self.audit_id}"


class Since(NamedTuple):
    """What a client knows already."""

    seq: int
    audit_id: int | None = None  # None: it does not ask what was deleted

    def has_reached(self, place: Place) -> bool:
        return self.seq == place.seq and self.audit_id in (None, place.audit_id)


@dataclass(slots=True)
class News:
    place: Place
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

    def news(self, place: Place, with_sessions: bool) -> News:
        last = newest_place()
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
        figures = figures_at(at)
        if figures == self._figures:
            return None
        self._figures = figures
        return figures


def newest_place() -> Place:
    """Of the ledger's end. Those who saw a call have seen all before it: seq is given under a
    lock."""
    return Place(
        Ledger.objects.values_list("last_seq", flat=True).get(pk=1),
        AuditChain.objects.values_list("last_id", flat=True).get(),
    )


def missed(filter: CallFilter, since: Since, until: Place, limit: int) -> News | None:
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


def stops_in_force() -> list[dict[str, Any]]:
    stops = Stop.objects.in_force().order_by("-id")
    columns = ("id", "scope", "value", "reason", "who", "created_at")
    return [dict(stop) for stop in stops.values(*columns)]


def figures_at(at: datetime) -> dict[str, Any]:
    """`calls_per_minute`: of the last minute; `…_today…`: of the UTC day."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    calls = Call.objects.not_deleted()
    spent = Spend.objects.of("daily", None, day.date())
    begin = hour_of(day)
    today = added(summary(Period(begin, begin + 24, True, True), None, {}, 0).total).counts
    return {
        "calls_per_minute": calls.filter(timestamp__gte=at - timedelta(minutes=1)).count(),
        "cost_today_usd": spent.values_list("usd", flat=True).first() or 0,
        "errors_today": today[ERRORS],
        "refused_today": today[REFUSED],
        "warnings_today": calls.filter(WARNED, timestamp__gte=day).count(),
    }


def _disconnect() -> None:
    connection.close()  # this thread's: the name means another one in another thread


def _connected(work: Callable[..., T], *args: Any) -> T:
    try:
        return work(*args)
    except FAILURES:
        connection.close()
        raise
