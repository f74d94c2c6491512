"""The calls on one page of a list, newest first unless the list is sorted otherwise.

No list walks through the whole ledger: where few calls match, it searches a bounded number of the
newest calls and reports how far back it got.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError

from capture.ledger.bulk_sql import quote_name
from capture.models import Call, Session
from reports.queries.call_list import CallFilter, CallsParameters, ShortCall, short_calls
from reports.queries.cursors import Cursor, CursorParameter
from reports.queries.parameters import ChoiceParameter, NumberParameter, TimeParameter
from reports.search.find import SearchCriteria, find_hits
from reports.search.parameters import SESSION_NAMES, QueryParameter

PAGE_SIZE, MAX_PAGE_SIZE = 50, 500
# The numbers of newest calls that a filtered page searches, and that a sorted page sorts.
MAX_SEARCHED = 20_000
MAX_SORTED = 10_000
NEWEST_FIRST = "-timestamp"
BY_SEQ = "-seq"  # the order of search results
SORTS = {
    "timestamp": "timestamp",
    "cost": "cost_usd",
    "latency": "latency_ms",
    "ttft": "ttft_ms",
    "tokens_in": "tokens_in",
    "tokens_out": "tokens_out",
}


class CallsPageParameters(CallsParameters):
    since = TimeParameter(help_text="made at this time or later")
    until = TimeParameter(help_text="made before this time")
    sort = ChoiceParameter(
        [sign + name for name in SORTS for sign in ("-", "")],
        help_text="the order; - for descending",
    )
    limit = NumberParameter(
        lowest=1, highest=MAX_PAGE_SIZE, default=PAGE_SIZE, help_text="calls on a page"
    )
    before = CursorParameter(help_text="start of the page, taken from the link to older calls")
    q = QueryParameter(help_text="words that must all occur in a call")


@dataclass(slots=True)
class CallsPage:
    calls: list[ShortCall] = field(default_factory=list)
    older: Cursor | None = None  # where the next page begins; None: this is the last page
    searched_until: datetime | None = None  # older calls were not searched; None: all were
    sorted_among: int | None = (
        None  # only so many of the newest calls were sorted; None: not sorted
    )
    timed_out: bool = False  # the time was up; calls older than `older` were not searched


def read_calls_page(parameters: dict[str, Any]) -> CallsPage:
    """Reads the page that validated CallsPageParameters describe; at least `limit` is set.

    Raises ValidationError when `q` is combined with a sort order or a foreign cursor.
    """
    calls = _matching_calls(parameters)
    if calls is None:
        return CallsPage()
    sort = parameters.get("sort", NEWEST_FIRST)
    if "q" in parameters:
        if sort != NEWEST_FIRST:
            raise ValidationError({"sort": ["not with q, whose hits are listed newest first"]})
        return _search_page(parameters)
    if sort not in (NEWEST_FIRST, "timestamp"):
        return _read_sorted_page(calls, sort, parameters["limit"])
    return _page_in_time(calls, parameters, sort)


def _page_in_time(calls: QuerySet[Call], parameters: dict[str, Any], sort: str) -> CallsPage:
    page = CallsPage()
    limit = parameters["limit"]
    is_ascending = sort == "timestamp"
    order = ("timestamp", "seq") if is_ascending else ("-timestamp", "-seq")
    cursor = _cursor(parameters, sort)
    if cursor is not None:
        calls = calls.filter(cursor.rows_after("timestamp", "seq"))
    if not is_ascending and "session" not in parameters and _is_filtered(parameters):
        page.searched_until = _search_horizon(cursor)
        if page.searched_until is not None:
            calls = calls.filter(timestamp__gte=page.searched_until)
    page.calls = short_calls(calls.order_by(*order)[: limit + 1])
    if len(page.calls) > limit:
        page.calls.pop()
        last = page.calls[-1]
        page.older = Cursor(sort, last["timestamp"], last["seq"])
        page.searched_until = None
    elif page.searched_until is not None:
        page.older = Cursor(sort, page.searched_until, 0)
    return page


def find_adjacent_calls(
    parameters: dict[str, Any], call: ShortCall
) -> tuple[UUID | None, UUID | None]:
    """Returns the calls before and after a call in a list.

    In a list that is not in the order of time, they are looked for on its first page of
    MAX_PAGE_SIZE calls only.
    """
    parameters = {name: value for name, value in parameters.items() if name != "before"}
    if "q" in parameters or parameters.get("sort", NEWEST_FIRST) != NEWEST_FIRST:
        ids = [None, *_ids({**parameters, "limit": MAX_PAGE_SIZE}), None]
        if call["action_id"] not in ids:
            return None, None
        index = ids.index(call["action_id"])
        return ids[index - 1], ids[index + 1]
    newer, older = (_next_call(call, parameters, sort) for sort in ("timestamp", NEWEST_FIRST))
    return newer, older


def _next_call(call: ShortCall, parameters: dict[str, Any], sort: str) -> UUID | None:
    cursor = Cursor(sort, call["timestamp"], call["seq"])
    return next(iter(_ids({**parameters, "sort": sort, "before": cursor, "limit": 1})), None)


def _ids(parameters: dict[str, Any]) -> list[UUID | None]:
    return [call["action_id"] for call in read_calls_page(parameters).calls]


def _matching_calls(parameters: dict[str, Any]) -> QuerySet[Call] | None:
    """Returns None when there is no session with the given id."""
    session_id = CallFilter.from_parameters(parameters).session
    calls: QuerySet[Call] = Call.objects.not_deleted()
    if session_id is not None:
        session = Session.objects.not_deleted().filter(session_id=session_id).first()
        if session is None or "\0" in session_id:
            return None
        calls = calls.filter(session=session)
    return calls.filter(_where(parameters))


def _where(parameters: dict[str, Any]) -> Q:
    where = CallFilter.from_parameters(parameters).where()
    if "since" in parameters:
        where &= Q(timestamp__gte=parameters["since"])
    if "until" in parameters:
        where &= Q(timestamp__lt=parameters["until"])
    return where


def _is_filtered(parameters: dict[str, Any]) -> bool:
    return CallFilter.from_parameters(parameters) != CallFilter()


def _search_page(parameters: dict[str, Any]) -> CallsPage:
    """Reads the calls that a search finds, in the order in which they were recorded."""
    names = CallFilter.from_parameters(parameters).names()
    criteria = SearchCriteria(
        parameters["q"],
        _where(parameters),
        is_narrow="session" in parameters or "since" in parameters,
        names={name: names[name] for name in SESSION_NAMES if name in names},
    )
    cursor = _cursor(parameters, BY_SEQ)
    found = find_hits(criteria, limit=parameters["limit"], before=cursor.id if cursor else None)
    hits = Call.objects.not_deleted().filter(pk__in=[hit.call.pk for hit in found.hits])
    calls = short_calls(hits.order_by("-seq"))
    older = Cursor(BY_SEQ, 0, found.next) if found.next is not None else None
    return CallsPage(calls, older, timed_out=not found.complete)


def _cursor(parameters: dict[str, Any], order: str) -> Cursor | None:
    cursor: Cursor | None = parameters.get("before")
    if cursor is not None and (
        cursor.order != order or isinstance(cursor.value, datetime) != (order != BY_SEQ)
    ):
        raise ValidationError({"before": [CursorParameter.accepted]})
    return cursor


def _search_horizon(cursor: Cursor | None) -> datetime | None:
    """Returns the time of the last call to search; None: all calls are searched.

    The query reads the index on time alone.
    """
    times = Call.objects.order_by("-timestamp").values_list("timestamp", flat=True)
    if cursor is not None:
        times = times.filter(timestamp__lte=cursor.value)
    return next(iter(times[MAX_SEARCHED : MAX_SEARCHED + 1]), None)


def _read_sorted_page(calls: QuerySet[Call], sort: str, limit: int) -> CallsPage:
    """Reads a page of sorted calls; those whose value is unknown come last."""
    horizon = _search_horizon(None)
    if horizon is not None:
        calls = calls.filter(timestamp__gte=horizon)
    ids = _first_sorted_ids(calls, SORTS[sort.lstrip("-")], sort.startswith("-"), limit)
    listed = short_calls(Call.objects.not_deleted().filter(pk__in=ids))
    by_id = {call["action_id"]: call for call in listed}
    return CallsPage([by_id[pk] for pk in ids if pk in by_id], sorted_among=MAX_SORTED)


def _first_sorted_ids(
    calls: QuerySet[Call], column: str, is_descending: bool, limit: int
) -> list[UUID]:
    """Sorts the newest MAX_SORTED calls and returns the ids of the first ones.

    This is SQL because Django cannot sort a slice: it would look up each of its rows again.
    """
    newest = calls.order_by("-timestamp").values_list("action_id", column, "timestamp", "seq")
    sql, values = newest[:MAX_SORTED].query.sql_with_params()
    order = "DESC" if is_descending else "ASC"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT action_id FROM ({sql}) AS newest"
            f" ORDER BY {quote_name(column)} {order} NULLS LAST,"
            f" {quote_name('timestamp')} DESC, seq DESC"
            " LIMIT %s",
            [*values, limit],
        )
        return [UUID(str(pk)) for (pk,) in cursor.fetchall()]
