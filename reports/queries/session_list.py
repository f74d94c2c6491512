"""Lists of sessions: filters, orders and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, FloatField, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from capture.models import Session, SessionValue
from reports.queries.cursors import Cursor, CursorParameter
from reports.queries.parameters import (
    ChoiceParameter,
    FlagParameter,
    NumberParameter,
    Parameters,
    TextParameter,
    TimeParameter,
    UsdParameter,
)

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
FEW = 500

# Costs are cast to floats, which both databases compare with a cursor as they sort them. Sessions
# without a known cost come before the cheapest.
ORDERS: dict[str, Combinable] = {
    "last_call_at": F("last_call_at"),
    "started_at": F("started_at"),
    "total_cost_usd": Coalesce(Cast("total_cost_usd", FloatField()), Value(-1.0)),
    "call_count": F("call_count"),
    "error_count": F("error_count"),
}
NEWEST_FIRST = "-last_call_at"
PAGE_PARAMETERS = {"order", "limit", "offset", "cursor"}
STATUSES = {
    "ok": Q(error_count=0, refused_count=0),
    "error": Q(error_count__gt=0),
    "refused": Q(refused_count__gt=0),
}


class SessionValueParameter(TextParameter):
    """Finds the sessions in which a call had this value."""

    def filter(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        same = SessionValue.objects.filter(name=self.field_name, value=value)
        if self.parent.follows_order:
            return queryset.filter(Exists(same.filter(session=OuterRef("pk"))))
        return queryset.filter(pk__in=same.values("session_id"))


class StatusParameter(ChoiceParameter):
    def filter(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(STATUSES[value])


class NamePartParameter(TextParameter):
    """Finds a part of a session's names, which are stored in folded case."""

    def filter(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(names__contains=value.casefold())


class SessionsParameters(Parameters):
    agent_name = SessionValueParameter(help_text="sessions with calls of this agent")
    user_id = SessionValueParameter(help_text="sessions with calls for this user")
    app_id = SessionValueParameter(help_text="sessions with calls of this application")
    environment = SessionValueParameter(help_text="sessions with calls in this environment")
    model_id = SessionValueParameter(help_text="sessions with calls of this model")
    label = SessionValueParameter(help_text="sessions with this label")
    status = StatusParameter(
        tuple(STATUSES),
        help_text="without an error or a refused call; with an error; with a refused call",
    )
    since = TimeParameter(
        lookup="last_call_at__gte", help_text="sessions with a call at this time or later"
    )
    until = TimeParameter(
        lookup="started_at__lt", help_text="sessions with a call before this time"
    )
    min_cost = UsdParameter(
        lookup="total_cost_usd__gte", help_text="sessions that cost at least this (USD)"
    )
    pinned = FlagParameter(lookup="pinned", help_text="sessions that are pinned, or that are not")
    q = NamePartParameter(
        help_text="part of the session's id, of an agent, a user or a label, ignoring case"
    )
    order = ChoiceParameter(
        [sign + name for name in ORDERS for sign in ("-", "")],
        default=NEWEST_FIRST,
        help_text="the order; descending with a leading -",
    )
    limit = NumberParameter(
        lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="maximum number of sessions"
    )
    offset = NumberParameter(lowest=0, highest=2**53, help_text="number of sessions to skip")
    cursor = CursorParameter(
        help_text="start of the page, taken from the previous page's Link header"
    )

    def __init__(self, data: QueryDict, queryset: QuerySet[Session] | None = None, **options: Any):
        super().__init__(
            data, Session.objects.not_deleted() if queryset is None else queryset, **options
        )
        # Whether sessions are met one by one in the list's order, or looked up as a set.
        self.follows_order = False

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        cursor: Cursor | None = values.get("cursor")
        if cursor is not None and "offset" in values:
            raise ValidationError({"offset": ["not in combination with a cursor"]})
        if cursor is not None and not _fits(cursor, values["order"]):
            raise ValidationError({"cursor": [CursorParameter.accepted]})
        return values

    @property
    def is_filtered(self) -> bool:
        return not self.values.keys() <= PAGE_PARAMETERS


def _fits(cursor: Cursor, order: str) -> bool:
    is_time = order.removeprefix("-").endswith("_at")
    return cursor.order == order and is_time != isinstance(cursor.value, int | float)


@dataclass(frozen=True, slots=True)
class SessionPage:
    sessions: Sequence[Session]
    total: int
    next: Cursor | None  # None: this is the last page


def session_page(parameters: SessionsParameters) -> SessionPage:
    values = parameters.values
    found, total = _find(parameters)
    column = values["order"].removeprefix("-")
    sign = "-" if values["order"].startswith("-") else ""
    rows = found.annotate(sorted_by=ORDERS[column]).order_by(f"{sign}sorted_by", f"{sign}id")
    if "cursor" in values:
        rows = rows.filter(values["cursor"].rows_after("sorted_by"))
    start, limit = values.get("offset", 0), values["limit"]
    sessions = list(rows.defer("names")[start : start + limit + 1])
    has_more = len(sessions) > limit
    sessions = sessions[:limit]
    last = sessions[-1] if sessions else None
    cursor = Cursor(values["order"], last.sorted_by, last.pk) if last and has_more else None
    return SessionPage(sessions, total, cursor)


def _find(parameters: SessionsParameters) -> tuple[QuerySet[Session], int]:
    """Returns the sessions that match and their number. A few are looked up by id; many are soon
    met when they are read in the list's order."""
    found: QuerySet[Session] = parameters.qs
    if parameters.is_filtered:
        ids = list(found.values_list("pk", flat=True)[: FEW + 1])
        if len(ids) <= FEW:
            return parameters.queryset.filter(pk__in=ids), len(ids)
    parameters.follows_order = True
    return parameters.filter_queryset(parameters.queryset), found.count()
