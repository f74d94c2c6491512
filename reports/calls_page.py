"""Which calls a page of the list shows, the newest first unless it is sorted otherwise.

No list walks through all of the ledger: where few calls match, it looks at so many of the newest,
and says how far that was.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db.models import F, Q, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from capture.models import Call, Session
from reports.call_list import CallFilter, CallsParameters, ShortCall, short_calls
from reports.parameters import Choice, Number, Time

AT_ONCE, MOST_AT_ONCE = 50, 500
# Calls that a page looks at where it is filtered, and among which it sorts.
LOOKED_AT = 20_000
SORTED = 10_000
NEWEST_FIRST = "-timestamp"
SORTS = {
    "timestamp": "timestamp",
    "cost": "cost_usd",
    "latency": "latency_ms",
    "ttft": "ttft_ms",
    "tokens_in": "tokens_in",
    "tokens_out": "tokens_out",
}


class Place(NamedTuple):
    """Behind the call with these."""

    timestamp: datetime
    seq: int

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")


_decode = msgspec.msgpack.Decoder(Place).decode


class PlaceField(serializers.CharField):
    accepted = "a place as the link to older calls gives it"

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=200, **options)

    def run_validation(self, data: Any = empty) -> Any:
        if data is empty or data == "":
            return super().run_validation(empty)
        try:
            place = _decode(base64.urlsafe_b64decode(str(data) + "=="))
        except (ValueError, msgspec.DecodeError, OverflowError):
            raise ValidationError([self.accepted]) from None
        if place.timestamp.tzinfo is None or not 0 <= place.seq < 2**63:
            raise ValidationError([self.accepted])
        return place


class CallsPageParameters(CallsParameters):
    since = Time(help_text="made at this time or later")
    until = Time(help_text="made before this time")
    sort = Choice(
        [sign + name for name in SORTS for sign in ("-", "")],
        help_text="what comes first; with a - the greatest",
    )
    limit = Number(lowest=1, highest=MOST_AT_ONCE, default=AT_ONCE, help_text="calls on one page")
    before = PlaceField(help_text="calls older than this place")


@dataclass(slots=True)
class CallsPage:
    calls: list[ShortCall] = field(default_factory=list)
    older: Place | None = None  # where to go on; None: there are no more
    looked_until: datetime | None = None  # older calls were not looked at; None: all were
    sorted_among: int | None = None  # the newest so many; None: all, or not sorted


def calls_page(asked: dict[str, Any]) -> CallsPage:
    found = _filtered(asked)
    if found is None:
        return CallsPage()
    sort = asked.get("sort", NEWEST_FIRST)
    if sort not in (NEWEST_FIRST, "timestamp"):
        return _sorted(found, sort, asked["limit"])
    oldest_first = sort == "timestamp"
    order = ("timestamp", "seq") if oldest_first else ("-timestamp", "-seq")
    page = CallsPage()
    place: Place | None = asked.get("before")
    if place is not None:
        found = found.filter(_behind(place, oldest_first))
    if not oldest_first and "session" not in asked and _is_filtered(asked):
        page.looked_until = _horizon(place)
        if page.looked_until is not None:
            found = found.filter(timestamp__gte=page.looked_until)
    page.calls = short_calls(found.order_by(*order)[: asked["limit"] + 1])
    if len(page.calls) > asked["limit"]:
        page.calls.pop()
        last = page.calls[-1]
        page.older = Place(last["timestamp"], last["seq"])
        page.looked_until = None
    elif page.looked_until is not None:
        page.older = Place(page.looked_until, 0)
    return page


def _filtered(asked: dict[str, Any]) -> QuerySet[Call] | None:
    wanted = CallFilter.of(asked)
    calls: QuerySet[Call] = Call.objects.not_deleted()
    if wanted.session is not None:
        session = Session.objects.not_deleted().filter(session_id=wanted.session).first()
        if session is None or "\0" in wanted.session:
            return None
        calls = calls.filter(session=session)
    calls = wanted.narrowed(calls)
    if "since" in asked:
        calls = calls.filter(timestamp__gte=asked["since"])
    if "until" in asked:
        calls = calls.filter(timestamp__lt=asked["until"])
    return calls


def _is_filtered(asked: dict[str, Any]) -> bool:
    return CallFilter.of(asked) != CallFilter()


def _behind(place: Place, oldest_first: bool) -> Q:
    at, seq = place
    if oldest_first:
        return Q(timestamp__gte=at) & (Q(timestamp__gt=at) | Q(seq__gt=seq))
    return Q(timestamp__lte=at) & (Q(timestamp__lt=at) | Q(seq__lt=seq))


def _horizon(place: Place | None) -> datetime | None:
    """When the last of the calls was made that are looked at; None: all are. Its index alone tells
    that."""
    times = Call.objects.order_by("-timestamp").values_list("timestamp", flat=True)
    if place is not None:
        times = times.filter(timestamp__lte=place.timestamp)
    return next(iter(times[LOOKED_AT : LOOKED_AT + 1]), None)


def _sorted(found: QuerySet[Call], sort: str, limit: int) -> CallsPage:
    """What is unknown comes last."""
    column = F(SORTS[sort.lstrip("-")])
    order = column.desc(nulls_last=True) if sort[0] == "-" else column.asc(nulls_last=True)
    newest = found.order_by("-timestamp").values("pk")
    horizon = _horizon(None)
    if horizon is not None:
        newest = newest.filter(timestamp__gte=horizon)
    among = Call.objects.not_deleted().filter(pk__in=newest[:SORTED])
    calls = short_calls(among.order_by(order, "-timestamp", "-seq")[:limit])
    return CallsPage(calls, sorted_among=SORTED)
