"""The standing of budgets and limits, as the API shows it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from capture.admission.budgets import NOTHING, Balance
from capture.admission.decision import Standing
from capture.admission.rate_limits import Limit


def budget_standing(balance: Balance) -> Standing:
    return Standing(
        name=f"budget_{balance.account.budget}",
        key=balance.account.key,
        limit=balance.limit_usd,
        used=balance.spent_usd,
        reserved=balance.held_usd,
        left=max(balance.remaining_usd, NOTHING),
        resets_at=balance.resets_at,
    )


def limit_standing(limit: Limit, used: int, resets_at: datetime | None) -> Standing:
    """A limit "resets" when the first call of its window leaves it."""
    return Standing(
        name=limit.name,
        key=limit.key,
        limit=Decimal(limit.n),
        used=Decimal(used),
        reserved=NOTHING,
        left=Decimal(max(limit.n - used, 0)),
        resets_at=resets_at,
    )
