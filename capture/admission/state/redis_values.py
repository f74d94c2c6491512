"""Values as the scripts take and return them: money in units of 1e-10 USD as text, time in
microseconds, accounts and limits as tables."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from capture.admission.rate_limits import Limit
from capture.ledger.accounts import Account

EPOCH = date(1970, 1, 1)
_PLACES = 10


def to_us(seconds: float) -> int:
    return round(seconds * 1e6)


def to_units(usd: Decimal) -> str:
    return str(int(usd.scaleb(_PLACES).to_integral_value(ROUND_HALF_EVEN)))


def to_usd(units: bytes) -> Decimal:
    return Decimal(int(units)).scaleb(-_PLACES)


def limit_table(limit: Limit) -> dict[str, Any]:
    return {"key": f"limit:{limit.scope}:{limit.key or ''}", "n": limit.n}


def account_table(account: Account) -> dict[str, Any]:
    return {
        "budget": account.budget,
        "key": account.key or "",
        "daily": account.day is not None,
    }


def on_day(account: Account, day: int) -> Account:
    """Returns the same account on another day, counted from 1970, if it is one of a day."""
    return account if account.day is None else account._replace(day=EPOCH + timedelta(day))


def day_number(account: Account) -> int:
    return 0 if account.day is None else (account.day - EPOCH).days
