"""The budgets that apply to one call: how much of each was used before it, and with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import Q, Sum

from capture.admission.decision import Keys, Standing
from capture.ledger.rollup_sums import COST, hour_of
from capture.models import Call
from capture.proxy import runtime
from reports.queries.records import Row, earlier_than
from reports.queries.rollups import Period, summary, total_of

# The calls of the same hour before it that are summed one by one.
MAX_CALLS = 20_000
BUDGET = "budget_"
_UNIT = Decimal("1e-10")  # of money in rollups
# The column whose value a daily budget's calls share.
_COLUMNS = {"agent": "agent_name", "user": "user_id", "daily": None}


@dataclass(frozen=True, slots=True)
class UsedBudget:
    name: str  # session, agent, user or daily
    key: str | None
    limit_usd: Decimal
    before_usd: Decimal | None  # by the costs in the ledger; None: unknown
    after_usd: Decimal | None


def current_standing(
    session_id: str | None, agent_name: str | None, user_id: str | None
) -> list[Standing]:
    """Returns the use of the budgets and limits that are set; none where this process runs no
    proxy."""
    process = runtime.current()
    if process is None:
        return []
    keys = Keys(session_id=session_id, agent_name=agent_name, user_id=user_id)
    return async_to_sync(process.admission.state.standing)(keys)


def budgets_of(row: Row) -> list[UsedBudget]:
    """Returns the budgets of a call. Limits are the current ones; where the call itself reports
    what was spent of an exceeded budget, that is used."""
    reported = {one["budget"]: Decimal(one["spent_usd"]) for one in _reports(row)}
    found = []
    for one in current_standing(row["session_id"], row["agent_name"], row["user_id"]):
        name = one.name.removeprefix(BUDGET)
        if one.name.startswith(BUDGET) and (name == "session" or name in _COLUMNS):
            used = reported[name] if name in reported else _used_before(name, row)
            after = used + (row["cost_usd"] or 0) if used is not None else None
            found.append(UsedBudget(name, one.key, one.limit, used, after))
    return found


def _reports(row: Row) -> list[dict[str, Any]]:
    refusal = row["refusal"] or {}
    return [*(row["budget_warning"] or []), *([refusal] if "spent_usd" in refusal else [])]


def _used_before(name: str, row: Row) -> Decimal | None:
    if name == "session":
        return _cost(earlier_than(Call.objects.not_deleted().filter(session=row["scope"]), row))
    column = _COLUMNS[name]
    names = {column: row[column]} if column else {}
    at: datetime = row["timestamp"]
    hour = at.replace(minute=0, second=0, microsecond=0)
    earlier = earlier_than(Call.objects.not_deleted().filter(timestamp__gte=hour), row)
    if earlier.order_by("-timestamp").values("timestamp")[MAX_CALLS:].exists():
        return None
    end = hour_of(hour)
    hours = Period(end - hour.hour, end, by_day=False, is_to_now=False)
    whole = total_of(summary(hours, None, names, 0).total).counts[COST] if hour.hour else 0
    return (whole or 0) * _UNIT + _cost(earlier.filter(Q(**names)))


def _cost(calls: Any) -> Decimal:
    return calls.aggregate(usd=Sum("cost_usd"))["usd"] or Decimal(0)
