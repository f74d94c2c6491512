"""What was spent, as the recorder adds it up for budgets: of each session, and of each agent, user,
ingest token and all calls by the day. Money that was spent stays spent when its calls are deleted,
and prices that are corrected later change nothing here."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection

from capture.admission.decision import Account
from capture.exchange import TOKEN_FIELD
from capture.ledger.bulk_sql import Row, quoted
from capture.models import Spend
from capture.parsing.parse import UnderstoodCall
from capture.pricing.call_cost import charged_usd

ZERO = Decimal(0)
# What the column holds. A sum that would pass it is made of numbers that nobody can mean.
MAX_USD = 9_999_999_999


def accounts_of(call: UnderstoodCall) -> list[Account]:
    """What a call's cost is added to."""
    return _accounts(
        call.timestamp,
        call.ledger_field("session_id"),
        call.ledger_field("agent_name"),
        call.ledger_field("user_id"),
        call.ledger_field(TOKEN_FIELD),
    )


def _accounts(
    timestamp: datetime,
    session_id: str | None,
    agent_name: str | None,
    user_id: str | None,
    token: str | None,
) -> list[Account]:
    day = timestamp.astimezone(UTC).date()
    found = [Account("daily", None, day)]
    if session_id is not None:
        found.append(Account("session", session_id, None))
    if agent_name is not None:
        found.append(Account("agent", agent_name, day))
    if user_id is not None:
        found.append(Account("user", user_id, day))
    if token is not None:
        found.append(Account("token", token, day))
    return found


class Spending:
    """Of one batch of the recorder's, under the ledger's lock."""

    def __init__(self) -> None:
        self._usd: dict[Account, Decimal] = defaultdict(lambda: ZERO)

    def add(self, call: UnderstoodCall) -> None:
        """What budgets are charged where its cost is not known is noted with the call."""
        usd = charged_usd(
            call.cost.total_usd,
            call.request.reserved_usd if call.request else None,
            status=call.response_head.status if call.response_head else None,
            outcome=call.outcome,
        )
        if not usd:
            return
        for account in accounts_of(call):
            self._usd[account] += usd
        if call.cost.total_usd is None:
            usd = usd.normalize()
            call.notes.append(f"budgets were charged what it was expected to cost: {usd:f} USD")

    def take_back(self, row: Row, session_id: str | None) -> None:
        """A call's cost was an estimate, and another call tells the truth about it."""
        if row["cost_usd"]:
            names = session_id, row["agent_name"], row["user_id"], row["ingest_token"]
            for account in _accounts(row["timestamp"], *names):
                self._usd[account] -= row["cost_usd"]

    def write(self) -> None:
        if not self._usd:
            return
        with connection.cursor() as cursor:
            cursor.executemany(
                _upsert_statement(),
                [
                    (budget, key or "", (day or Spend.ALL_DAYS).isoformat(), format(usd, "f"))
                    for (budget, key, day), usd in self._usd.items()
                ],
            )


def _upsert_statement() -> str:
    """SQLite adds floating numbers: rounded each time, sums stay exact up to 900,000 USD, and have
    15 digits beyond."""
    table = quoted(Spend._meta.db_table)
    total = f"round({table}.usd + excluded.usd, 10)"
    return (
        f"INSERT INTO {table} (budget, key, day, usd) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (budget, key, day) DO UPDATE"
        f" SET usd = CASE WHEN {total} < {MAX_USD} THEN {total} ELSE {MAX_USD} END"
    )
