"""The narrow columns of calls that lists show, and the filters of these lists."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from capture.exchange import Outcome
from capture.models import Call
from reports.queries.parameters import ChoiceParameter, Parameters, TextParameter, UsdParameter

COLUMNS = (
    "action_id seq timestamp agent_name user_id app_id environment model_id provider streaming"
    " outcome status_code stop_reason tokens_in tokens_out tokens_cache_read tokens_cache_write"
    " cost_usd price_source usage_source ttft_ms latency_ms attempt retry_of parent_action_id"
    " handoff_from handoff_to budget_warning refusal_code error_detail preview"
).split()
FIELDS = ("session_id", *COLUMNS)
MAX_ERROR = 300

ShortCall = dict[str, Any]
"""A call's `FIELDS`, with `error_detail` cut to `MAX_ERROR` characters."""

STATUSES = ("ok", "error", "refused")
BUDGETS = ("ok", "warn", "block")
BUDGET_CODES = "budget_"  # the prefix of refusal codes that concern a budget


def short_calls(calls: QuerySet[Call]) -> list[ShortCall]:
    found: list[ShortCall] = list(calls.values("session__session_id", *COLUMNS))
    for call in found:
        call["session_id"] = call.pop("session__session_id")
        if call["error_detail"]:
            call["error_detail"] = call["error_detail"][:MAX_ERROR]
    return found


class CallsParameters(Parameters):
    """The filters of a list of calls: all that are given must match."""

    session = TextParameter(help_text="calls of this session")
    agent = TextParameter(help_text="calls of this agent")
    user = TextParameter(help_text="calls for this user")
    app = TextParameter(help_text="calls of this application")
    environment = TextParameter(help_text="calls in this environment")
    model = TextParameter(help_text="calls of this model")
    provider = TextParameter(help_text="calls to this provider")
    status = ChoiceParameter(STATUSES, help_text="completed; with an error; refused")
    budget = ChoiceParameter(
        BUDGETS, help_text="without either; with a budget warning; refused by a budget"
    )
    min_cost = UsdParameter(help_text="calls that cost at least this (USD)")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """The values of CallsParameters; None: any value."""

    session: str | None = None
    agent: str | None = None
    user: str | None = None
    app: str | None = None
    environment: str | None = None
    model: str | None = None
    provider: str | None = None
    status: str | None = None
    budget: str | None = None
    min_cost: Decimal | None = None

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> CallFilter:
        return cls(**{field.name: parameters.get(field.name) for field in fields(cls)})

    def names(self) -> dict[str, str]:
        """Returns the values that the columns of a call must have."""
        values = {column: getattr(self, name) for name, column in _NAMES.items()}
        return {column: value for column, value in values.items() if value is not None}

    def where(self) -> Q:
        where = Q()
        for column, value in self.names().items():
            where &= Q(**{_COLUMN_OF.get(column, column): value})
        if self.status is not None:
            where &= STATUS[self.status]
        if self.budget is not None:
            where &= _BUDGET[self.budget]
        if self.min_cost is not None:
            where &= Q(cost_usd__gte=self.min_cost)
        return where

    def matches(self, call: ShortCall) -> bool:
        """Returns whether a call that was read matches, as `where` decides in the database."""
        return (
            all(call[column] == value for column, value in self.names().items())
            and self.status in (None, status_of(call))
            and self.budget in (None, budget_of(call))
            and (
                self.min_cost is None
                or (call["cost_usd"] is not None and call["cost_usd"] >= self.min_cost)
            )
        )

    def matches_running(self, call: ShortCall) -> bool:
        """Returns whether a running call may match: what is not known yet does not exclude it."""
        if self.status in ("error", "refused") or self.budget == "block" or self.min_cost:
            return False
        return all(
            call[column] == value or (column == "model_id" and call[column] is None)
            for column, value in self.names().items()
        )


_NAMES = {
    "session": "session_id",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "environment": "environment",
    "model": "model_id",
    "provider": "provider",
}
_COLUMN_OF = {"session_id": "session__session_id"}
_COMPLETED, _REFUSED = str(Outcome.COMPLETED), str(Outcome.REFUSED)
STATUS = {
    "ok": Q(outcome=_COMPLETED),
    "refused": Q(outcome=_REFUSED),
    "error": ~Q(outcome__in=(_COMPLETED, _REFUSED)),
}
WARNED = Q(budget_warning__isnull=False)
_BUDGET = {
    "warn": WARNED,
    "block": Q(refusal_code__startswith=BUDGET_CODES),
    "ok": Q(budget_warning__isnull=True)
    & (Q(refusal_code__isnull=True) | ~Q(refusal_code__startswith=BUDGET_CODES)),
}


def status_of(call: ShortCall) -> str:
    return {_COMPLETED: "ok", _REFUSED: "refused"}.get(call["outcome"], "error")


def budget_of(call: ShortCall) -> str:
    if call["budget_warning"]:
        return "warn"
    return "block" if (call["refusal_code"] or "").startswith(BUDGET_CODES) else "ok"
