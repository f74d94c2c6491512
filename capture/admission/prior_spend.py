"""What was spent before, for budgets: by the ledger's sums, and by what the spool holds and the
ledger does not yet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import DatabaseError, connection
from django.db.models import Subquery

from capture.admission.budgets import NOTHING
from capture.admission.decision import State
from capture.exchange import Outcome
from capture.ledger.accounts import Account, accounts_of
from capture.ledger.bulk_sql import chunks
from capture.ledger.store import spool_positions
from capture.models import Call, Ledger, Spend
from capture.parsing.parse import parse_call
from capture.parsing.parsed_call import ParsedCall
from capture.pricing.call_cost import charge_usd, cost_of_call
from capture.pricing.prices import Prices
from capture.spool import interrupted
from capture.spool.folder import Folder
from capture.spool.reader import Reader

logger = logging.getLogger("agentledger.proxy")

# A start waits so long for the recorder to make the ledger's tables, or to bring them up to date.
TABLES_WAIT_S = 60.0
READ_CALLS, READ_BYTES = 500, 16 * 1024 * 1024
SAY_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A call of an earlier process that the spool holds."""

    action_id: UUID
    accounts: list[Account]
    usd: Decimal
    was_reserved: bool


class PriorSpend:
    """`await spent(account)` asks in a thread of its own: a call never waits on the database's
    connection of another."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "spent-before")
        self._unrecorded: dict[Account, dict[UUID, Decimal]] = defaultdict(dict)
        self._reserved: list[tuple[UUID, Decimal]] = []
        self._began = time.time()

    def begin(self, prices: Prices) -> None:
        """Before calls are taken."""
        positions = self._thread.submit(self._positions).result()
        for call in unrecorded_calls(self._folder, positions, prices):
            for account in call.accounts:
                self._unrecorded[account][call.action_id] = call.usd
            if call.was_reserved:
                self._reserved.append((call.action_id, call.usd))
        self._reserved += interrupted.take(self._folder)
        self._thread.submit(self._wait_for_tables).result()

    async def correct(self, state: State) -> None:
        """What calls of a killed process hold in Redis becomes what they cost."""
        calls, self._reserved = self._reserved, []
        for action_id, usd in calls:
            await state.correct(action_id, usd)

    async def __call__(self, account: Account) -> Decimal:
        """Raises DatabaseError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, account)

    def mark_recorded(self, ago_s: float) -> None:
        """See `State.mark_recorded`."""
        if time.time() - ago_s > self._began:
            self._unrecorded.clear()

    def close(self) -> None:
        self._thread.submit(connection.close)
        self._thread.shutdown(wait=False)

    # --- the thread ---

    def _ask(self, account: Account) -> Decimal:
        try:
            return self._sum(account)
        except DatabaseError:
            connection.close()
            raise

    def _sum(self, account: Account) -> Decimal:
        unrecorded = self._unrecorded.get(account)  # before: meanwhile they may be recorded
        sums = Spend.objects.of(*account).values("usd")
        # One statement: both are of the same moment.
        ledger = Ledger.objects.annotate(usd=Subquery(sums)).values_list("last_seq", "usd")
        last_seq, usd = ledger.get(pk=1)
        usd = NOTHING if usd is None else usd
        if unrecorded:
            usd += sum(
                (unrecorded[id_] for id_ in _not_in_ledger([*unrecorded], last_seq)), NOTHING
            )
        return usd

    def _positions(self) -> dict[str, int]:
        """Where to begin to read; without the ledger, at the beginning."""
        try:
            return spool_positions()
        except DatabaseError:  # away, or it has no tables yet
            connection.close()
            return {}

    def _wait_for_tables(self) -> None:
        deadline = time.monotonic() + TABLES_WAIT_S
        said = False
        while time.monotonic() < deadline:
            try:
                connection.ensure_connection()
            except DatabaseError:  # away: asked again when a call needs a sum
                return
            try:
                Ledger.objects.get(pk=1)
                Spend.objects.first()
                return
            except (DatabaseError, Ledger.DoesNotExist):
                connection.close()
            if not said:
                logger.info("waiting for the ledger's tables, for what budgets have spent")
                said = True
            time.sleep(0.05)


def _not_in_ledger(ids: list[UUID], last_seq: int) -> Iterator[UUID]:
    for some in chunks(ids):
        rows = Call.objects.filter(pk__in=some, seq__lte=last_seq).values_list("pk", flat=True)
        yield from set(some) - set(rows)


def unrecorded_calls(
    folder: Folder, positions: Mapping[str, int], prices: Prices
) -> Iterator[Unrecorded]:
    """Those of earlier processes: read while no other writes here. Some may be in the ledger."""
    reader = Reader(folder, positions, is_recorder=False)
    n, say_at = 0, time.monotonic() + SAY_EVERY_S
    try:
        while not reader.caught_up:
            for spooled in reader.read(max_calls=READ_CALLS, max_bytes=READ_BYTES):
                try:
                    call = parse_call(reader.load(spooled))
                except Exception:  # the recorder says what is wrong with it
                    continue
                finally:
                    reader.forget(spooled)
                found = _unrecorded(call, prices)
                if found is not None:
                    n += 1
                    yield found
            if time.monotonic() > say_at:
                say_at = time.monotonic() + SAY_EVERY_S
                logger.info("adding up what is not in the ledger yet: %d calls so far", n)
    finally:
        reader.close()


def _unrecorded(call: ParsedCall, prices: Prices) -> Unrecorded | None:
    if call.request is None or call.is_fetch or call.outcome == Outcome.REFUSED:
        return None
    reserved = call.request.reserved_usd
    status = call.response_head.status if call.response_head else None
    cost_usd = cost_of_call(prices, call).total_usd
    usd = charge_usd(cost_usd, reserved, status=status, outcome=call.outcome)
    if usd is None and reserved is None:
        return None
    usd = NOTHING if usd is None else usd
    return Unrecorded(call.action_id, accounts_of(call), usd, reserved is not None)
