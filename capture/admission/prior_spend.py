"""The spending before this process began: the ledger's sums, and the calls in the spool that are
not in the ledger yet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

from django.db import DatabaseError, connection
from django.db.models import Subquery

from capture.admission.budgets import NOTHING
from capture.admission.decision import State
from capture.admission.unrecorded_calls import read_unrecorded_calls
from capture.ledger.accounts import Account
from capture.ledger.bulk_sql import chunks
from capture.ledger.store import spool_positions
from capture.models import Call, Ledger, Spend
from capture.pricing.prices import Prices
from capture.spool import interrupted
from capture.spool.folder import Folder

logger = logging.getLogger("agentledger.proxy")

# A start waits this long for the recorder to create the ledger's tables, or to migrate them.
TABLES_WAIT_S = 60.0


class PriorSpend:
    """A SpendLookup that queries the ledger in a thread of its own, so that its database connection
    is never one that something else is using."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "prior-spend")
        self._unrecorded: dict[Account, dict[UUID, Decimal]] = defaultdict(dict)
        self._reserved: list[tuple[UUID, Decimal]] = []
        self._began = time.monotonic()

    def begin(self, prices: Prices) -> None:
        """Must be called before calls are taken."""
        positions = self._thread.submit(self._positions).result()
        for call in read_unrecorded_calls(self._folder, positions, prices):
            for account in call.accounts:
                self._unrecorded[account][call.action_id] = call.usd
            if call.was_reserved:
                self._reserved.append((call.action_id, call.usd))
        self._reserved += interrupted.take(self._folder)
        self._thread.submit(self._wait_for_tables).result()

    async def correct(self, state: State) -> None:
        """Replaces what the calls of a killed process hold in Redis by what they cost."""
        calls, self._reserved = self._reserved, []
        for action_id, usd in calls:
            await state.correct(action_id, usd)

    async def __call__(self, account: Account) -> Decimal:
        """Raises DatabaseError."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._look_up, account
        )

    def mark_recorded(self, ago_s: float) -> None:
        """See `State.mark_recorded`."""
        if time.monotonic() - ago_s > self._began:
            self._unrecorded.clear()

    def close(self) -> None:
        self._thread.submit(connection.close)
        self._thread.shutdown(wait=False)

    # --- the thread ---

    def _look_up(self, account: Account) -> Decimal:
        try:
            return self._sum(account)
        except DatabaseError:
            connection.close()
            raise

    def _sum(self, account: Account) -> Decimal:
        # Read before the ledger, since these calls may be recorded at any moment.
        unrecorded = self._unrecorded.get(account)
        sums = Spend.objects.of_account(*account).values("usd")
        # One statement, so that both values are of the same moment.
        ledger = Ledger.objects.annotate(usd=Subquery(sums)).values_list("last_seq", "usd")
        last_seq, usd = ledger.get(pk=1)
        usd = NOTHING if usd is None else usd
        if unrecorded:
            usd += sum(
                (unrecorded[id_] for id_ in _not_in_ledger([*unrecorded], last_seq)), NOTHING
            )
        return usd

    def _positions(self) -> dict[str, int]:
        """Returns the positions from which to read the spool; without a ledger, the beginning."""
        try:
            return spool_positions()
        except DatabaseError:  # it is unavailable, or has no tables yet
            connection.close()
            return {}

    def _wait_for_tables(self) -> None:
        deadline = time.monotonic() + TABLES_WAIT_S
        is_logged = False
        while time.monotonic() < deadline:
            try:
                connection.ensure_connection()
            except DatabaseError:  # it is unavailable: sums are read when a call needs them
                return
            try:
                Ledger.objects.get(pk=1)
                Spend.objects.first()
                return
            except (DatabaseError, Ledger.DoesNotExist):
                connection.close()
            if not is_logged:
                logger.info("waiting for the ledger's tables to read what budgets have spent")
                is_logged = True
            time.sleep(0.05)


def _not_in_ledger(ids: list[UUID], last_seq: int) -> Iterator[UUID]:
    for some in chunks(ids):
        rows = Call.objects.filter(pk__in=some, seq__lte=last_seq).values_list("pk", flat=True)
        yield from set(some) - set(rows)
