"""Which calls a page of the list shows, the newest first unless it is sorted otherwise.

No list walks through all of the ledger: where few calls match, it looks at so many of the newest,
and says how far that was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError

from capture.ledger.bulk_sql import quoted
from capture.models import Call, Session
from reports.queries.call_list import CallFilter, CallsParameters, ShortCall, short_calls
from reports.queries.cursors import Cursor, CursorField
from reports.queries.parameters import Choice, Number, Time
from reports.search.find import SearchCriteria, find
from reports.search.parameters import SESSION_NAMES, QueryField

AT_ONCE, MOST_AT_ONCE = 50, 500
# Calls that a page looks at where it is filtered, and among which it sorts.
LOOKED_AT = 20_000
SORTED = 10_000
NEWEST_FIRST = "-timestamp"
BY_SEQ = "-seq"  # the order of what a search finds
SORTS = {
    "timestamp": "timestamp",
    "cost": "cost_usd",
    "latency": "latency_ms",
    "ttft": "ttft_ms",
    "tokens_in": "tokens_in",
    "tokens_out": "tokens_out",
}


class CallsPageParameters(CallsParameters):
    since = Time(help_text="made at this time or later")
    until = Time(help_text="made before this time")
    sort = Choice(
        [sign + name for name in SORTS for sign in ("-", "")],
        help_text="what comes first; with a - the greatest",
    )
    limit = Number(lowest=1, highest=MOST_AT_ONCE, default=AT_ONCE, help_text="calls on one page")
    before = CursorField(help_text="where to go on: from the link to older calls")
    q = QueryField(required=False, help_text="words that must all occur in a call")


@dataclass(slots=True)
class CallsPage:
    calls: list[ShortCall] = field(default_factory=list)
    older: Cursor | None = None  # where to go on; None: there are no more
    looked_until: datetime | None = None  # older calls were not looked at; None: all were
    sorted_among: int | None = None  # the newest so many; None: all, or not sorted
    is_late: bool = False  # the time was up; what is older than `older` was not looked at


def calls_page(asked: dict[str, Any]) -> CallsPage:
    found = _filtered(asked)
    if found is None:
        return CallsPage()
    sort = asked.get("sort", NEWEST_FIRST)
    if "q" in asked:
        if sort != NEWEST_FIRST:
            raise ValidationError({"sort": ["not with q: what it finds comes newest first"]})
        return _saying(asked)
    if sort not in (NEWEST_FIRST, "timestamp"):
        return _sorted(found, sort, asked["limit"])
    oldest_first = sort == "timestamp"
    order = ("timestamp", "seq") if oldest_first else ("-timestamp", "-seq")
    page = CallsPage()
    place = _place(asked, sort)
    if place is not None:
        found = found.filter(place.behind("timestamp", "seq"))
    if not oldest_first and "session" not in asked and _is_filtered(asked):
        page.looked_until = _horizon(place)
        if page.looked_until is not None:
            found = found.filter(timestamp__gte=page.looked_until)
    page.calls = short_calls(found.order_by(*order)[: asked["limit"] + 1])
    if len(page.calls) > asked["limit"]:
        page.calls.pop()
        last = page.calls[-1]
        page.older = Cursor(sort, last["timestamp"], last["seq"])
        page.looked_until = None
    elif page.looked_until is not None:
        page.older = Cursor(sort, page.looked_until, 0)
    return page


def neighbours(asked: dict[str, Any], call: ShortCall) -> tuple[UUID | None, UUID | None]:
    """Those before and after a call in a list, as far as the list shows them at once where its
    order is not that of time."""
    asked = {name: value for name, value in asked.items() if name != "before"}
    if "q" in asked or asked.get("sort", NEWEST_FIRST) != NEWEST_FIRST:
        listed = [None, *_ids({**asked, "limit": MOST_AT_ONCE}), None]
        if call["action_id"] not in listed:
            return None, None
        at = listed.index(call["action_id"])
        return listed[at - 1], listed[at + 1]
    newer, older = (_next_to(call, asked, sort) for sort in ("timestamp", NEWEST_FIRST))
    return newer, older


def _next_to(call: ShortCall, asked: dict[str, Any], sort: str) -> UUID | None:
    place = Cursor(sort, call["timestamp"], call["seq"])
    return next(iter(_ids({**asked, "sort": sort, "before": place, "limit": 1})), None)


def _ids(asked: dict[str, Any]) -> list[UUID | None]:
    return [call["action_id"] for call in calls_page(asked).calls]


def _filtered(asked: dict[str, Any]) -> QuerySet[Call] | None:
    wanted = CallFilter.of(asked)
    calls: QuerySet[Call] = Call.objects.not_deleted()
    if wanted.session is not None:
        session = Session.objects.not_deleted().filter(session_id=wanted.session).first()
        if session is None or "\0" in wanted.session:
            return None
        calls = calls.filter(session=session)
    return calls.filter(_where(asked))


def _where(asked: dict[str, Any]) -> Q:
    where = CallFilter.of(asked).where()
    if "since" in asked:
        where &= Q(timestamp__gte=asked["since"])
    if "until" in asked:
        where &= Q(timestamp__lt=asked["until"])
    return where


def _is_filtered(asked: dict[str, Any]) -> bool:
    return CallFilter.of(asked) != CallFilter()


def _saying(asked: dict[str, Any]) -> CallsPage:
    """Found by what was said in them, in the order in which they were recorded."""
    names = CallFilter.of(asked).names()
    wanted = SearchCriteria(
        asked["q"],
        _where(asked),
        is_narrow="session" in asked or "since" in asked,
        names={name: names[name] for name in SESSION_NAMES if name in names},
    )
    place = _place(asked, BY_SEQ)
    found = find(wanted, limit=asked["limit"], before=place.id if place else None)
    hits = Call.objects.not_deleted().filter(pk__in=[hit.call.pk for hit in found.hits])
    calls = short_calls(hits.order_by("-seq"))
    older = Cursor(BY_SEQ, 0, found.next) if found.next is not None else None
    return CallsPage(calls, older, is_late=not found.complete)


def _place(asked: dict[str, Any], order: str) -> Cursor | None:
    place: Cursor | None = asked.get("before")
    if place is not None and (
        place.order != order or isinstance(place.value, datetime) != (order != BY_SEQ)
    ):
        raise ValidationError({"before": [CursorField.accepted]})
    return place


def _horizon(place: Cursor | None) -> datetime | None:
    """When the last of the calls was made that are looked at; None: all are. Its index alone tells
    that."""
    times = Call.objects.order_by("-timestamp").values_list("timestamp", flat=True)
    if place is not None:
        times = times.filter(timestamp__lte=place.value)
    return next(iter(times[LOOKED_AT : LOOKED_AT + 1]), None)


def _sorted(found: QuerySet[Call], sort: str, limit: int) -> CallsPage:
    """What is unknown comes last."""
    horizon = _horizon(None)
    if horizon is not None:
        found = found.filter(timestamp__gte=horizon)
    first = _first_of_newest(found, SORTS[sort.lstrip("-")], sort.startswith("-"), limit)
    listed = short_calls(Call.objects.not_deleted().filter(pk__in=first))
    calls = {call["action_id"]: call for call in listed}
    return CallsPage([calls[pk] for pk in first if pk in calls], sorted_among=SORTED)


def _first_of_newest(found: QuerySet[Call], column: str, greatest: bool, limit: int) -> list[UUID]:
    """Their ids. Django cannot sort what is cut already: it would look up each of them again."""
    newest = found.order_by("-timestamp").values_list("action_id", column, "timestamp", "seq")
    sql, parameters = newest[:SORTED].query.sql_with_params()
    order = "DESC" if greatest else "ASC"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT action_id FROM ({sql}) AS newest"
            f" ORDER BY {quoted(column)} {order} NULLS LAST, {quoted('timestamp')} DESC, seq DESC"
            " LIMIT %s",
            [*parameters, limit],
        )
        return [UUID(str(pk)) for (pk,) in cursor.fetchall()]
