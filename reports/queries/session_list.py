"""Which sessions a reader asks for, in which order, from where on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, FloatField, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce
from rest_framework.exceptions import ValidationError

from capture.models import Session, SessionValue
from reports.queries.cursors import Cursor, CursorField
from reports.queries.parameters import Choice, Flag, Number, Parameters, Text, Time, Usd

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
FEW = 500

# Costs as floats, which both databases compare with a cursor as they order by them. Sessions
# without a known cost come before the cheapest.
ORDERS: dict[str, Combinable] = {
    "last_call_at": F("last_call_at"),
    "started_at": F("started_at"),
    "total_cost_usd": Coalesce(Cast("total_cost_usd", FloatField()), Value(-1.0)),
    "call_count": F("call_count"),
    "error_count": F("error_count"),
}
NEWEST_FIRST = "-last_call_at"
VALUES = ("agent_name", "user_id", "app_id", "environment", "model_id", "label")


class SessionsParameters(Parameters):
    agent_name = Text(help_text="sessions in which this agent called")
    user_id = Text(help_text="sessions for this user")
    app_id = Text(help_text="sessions of this application")
    environment = Text(help_text="sessions with calls of this environment")
    model_id = Text(help_text="sessions in which this model was called")
    label = Text(help_text="sessions that bear this label")  # type: ignore[assignment]
    status = Choice(
        ("ok", "error", "refused"),
        help_text="without an error or a refused call; with an error; with a refused call",
    )
    since = Time(help_text="sessions with a call at this time or later")
    until = Time(help_text="sessions with a call before this time")
    min_cost = Usd(help_text="sessions that cost at least so many USD")
    pinned = Flag(help_text="sessions that are pinned, or are not")
    q = Text(help_text="part of the session's id, of an agent, a user or a label; in any case")
    order = Choice(
        [sign + name for name in ORDERS for sign in ("-", "")],
        help_text=f"what comes first; with a - the greatest; without it all, {NEWEST_FIRST}",
    )
    limit = Number(lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="sessions at most")
    offset = Number(lowest=0, highest=2**53, help_text="sessions to skip")
    cursor = CursorField(help_text="where to go on: from the Link header of the page before")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs.setdefault("order", NEWEST_FIRST)
        cursor: Cursor | None = attrs.get("cursor")
        if cursor is not None and "offset" in attrs:
            raise ValidationError({"offset": ["none beside a cursor"]})
        if cursor is not None and not _fits(cursor, attrs["order"]):
            raise ValidationError({"cursor": [CursorField.accepted]})
        return attrs


def _fits(cursor: Cursor, order: str) -> bool:
    is_time = order.removeprefix("-").endswith("_at")
    return cursor.order == order and is_time != isinstance(cursor.value, int | float)


@dataclass(frozen=True, slots=True)
class Page:
    sessions: Sequence[Session]
    total: int
    next: Cursor | None  # None: this was the last


def page(asked: dict[str, Any]) -> Page:
    found, total = _found(asked)
    column = asked["order"].removeprefix("-")
    sign = "-" if asked["order"].startswith("-") else ""
    rows = found.annotate(place=ORDERS[column]).order_by(f"{sign}place", f"{sign}id")
    if "cursor" in asked:
        rows = rows.filter(asked["cursor"].behind("place"))
    start, limit = asked.get("offset", 0), asked["limit"]
    sessions = list(rows.defer("names")[start : start + limit + 1])
    more = len(sessions) > limit
    sessions = sessions[:limit]
    last = sessions[-1] if sessions else None
    cursor = Cursor(asked["order"], last.place, last.pk) if last and more else None
    return Page(sessions, total, cursor)


def _found(asked: dict[str, Any]) -> tuple[QuerySet[Session], int]:
    """Those that are asked for, and how many they are. Few are looked up by themselves; many are
    met soon on the way along the order."""
    found = filtered(asked)
    few = list(found.values_list("pk", flat=True)[: FEW + 1]) if _is_filtered(asked) else None
    if few is not None and len(few) <= FEW:
        return Session.objects.not_deleted().filter(pk__in=few), len(few)
    return filtered(asked, along=True), found.count()


def _is_filtered(asked: dict[str, Any]) -> bool:
    return not asked.keys() <= {"order", "limit", "offset", "cursor"}


def filtered(asked: dict[str, Any], *, along: bool = False) -> QuerySet[Session]:
    """`along`: to be met along an order, else as a set."""
    found: QuerySet[Session] = Session.objects.not_deleted()
    for name in VALUES:
        if name in asked:
            same = SessionValue.objects.filter(name=name, value=asked[name])
            found = found.filter(
                Exists(same.filter(session=OuterRef("pk")))
                if along
                else Q(pk__in=same.values("session_id"))
            )
    match asked.get("status"):
        case "ok":
            found = found.filter(error_count=0, refused_count=0)
        case "error":
            found = found.filter(error_count__gt=0)
        case "refused":
            found = found.filter(refused_count__gt=0)
    if "since" in asked:
        found = found.filter(last_call_at__gte=asked["since"])
    if "until" in asked:
        found = found.filter(started_at__lt=asked["until"])
    if "min_cost" in asked:
        found = found.filter(total_cost_usd__gte=asked["min_cost"])
    if "pinned" in asked:
        found = found.filter(pinned=asked["pinned"])
    if "q" in asked:
        found = found.filter(names__contains=asked["q"].casefold())
    return found
