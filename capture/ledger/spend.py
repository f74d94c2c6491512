"""Adds up spending for budgets: by session, and by day for each agent, user and ingest token and
for all calls. Deleting calls does not lower these sums, and correcting prices does not change
them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from django.db import connection

from capture.ledger.accounts import Account, accounts_by_name, accounts_of
from capture.ledger.bulk_sql import Row, table_name
from capture.ledger.entry import Entry
from capture.models import Spend
from capture.parsing.parsed_call import ParsedCall

ZERO = Decimal(0)
# The largest sum that the column holds. No real spending comes near it.
MAX_USD = 9_999_999_999


class Spending:
    """Sums that the calls of a batch add to accounts, written under the ledger's lock."""

    def __init__(self) -> None:
        self._usd: dict[Account, Decimal] = defaultdict(lambda: ZERO)

    def add(self, entry: Entry) -> None:
        usd = entry.charge_usd
        if usd:
            for account in accounts_of(entry.call):
                self._usd[account] += usd

    def take_out(self, call: ParsedCall, usd: Decimal | None) -> None:
        """Takes out what a call was charged, which is to be recorded anew."""
        if usd:
            for account in accounts_of(call):
                self._usd[account] -= usd

    def correct(
        self,
        row: Row,
        session_id: str | None,
        *,
        charged: Decimal | None,
        usd: Decimal | None,
        at: datetime,
    ) -> None:
        """Takes back what a recorded call was charged, and charges what its answer cost when that
        has come, at the time `at`."""
        names = session_id, row["agent_name"], row["user_id"], row["ingest_token"]
        for amount, day in ((-(charged or ZERO), row["timestamp"]), (usd or ZERO, at)):
            if amount:
                for account in accounts_by_name(day, *names):
                    self._usd[account] += amount

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
    """SQLite adds decimals as floating-point numbers. Rounded each time, sums are exact up to
    900,000 USD, and have 15 digits beyond."""
    table = table_name(Spend)
    total = f"round({table}.usd + excluded.usd, 10)"
    return (
        f"INSERT INTO {table} (budget, key, day, usd) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (budget, key, day) DO UPDATE"
        f" SET usd = CASE WHEN {total} < {MAX_USD} THEN {total} ELSE {MAX_USD} END"
    )
