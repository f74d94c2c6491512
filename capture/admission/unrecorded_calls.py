"""The calls of earlier processes that are still in the spool, and what they cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from capture.admission.budgets import NOTHING
from capture.exchange import Outcome
from capture.ledger.accounts import Account, accounts_of
from capture.parsing.parse import parse_call
from capture.parsing.parsed_call import ParsedCall
from capture.parsing.raw_facts import parse_raw_facts
from capture.pricing.call_cost import charge_usd, cost_of_call, has_brought_nothing
from capture.pricing.prices import Prices
from capture.spool.folder import Folder
from capture.spool.reader import Reader
from capture.spool.spooled_call import LARGE, SpooledCall

logger = logging.getLogger("agentledger.proxy")

READ_CALLS, READ_BYTES = 500, 16 * 1024 * 1024
LOG_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class UnrecordedCall:
    action_id: UUID
    accounts: list[Account]
    usd: Decimal
    was_reserved: bool


def read_unrecorded_calls(
    folder: Folder, positions: Mapping[str, int], prices: Prices
) -> Iterator[UnrecordedCall]:
    """Yields the calls in the spool from `positions` on. No other process may be writing there;
    some of the calls may already be in the ledger."""
    reader = Reader(folder, positions, is_recorder=False)
    n_calls, log_at = 0, time.monotonic() + LOG_EVERY_S
    try:
        while not reader.is_caught_up:
            for spooled in reader.read(max_calls=READ_CALLS, max_bytes=READ_BYTES):
                try:
                    call = _parse(reader, spooled)
                except Exception:  # it is damaged in some way: the recorder reports it
                    continue
                finally:
                    reader.forget(spooled)
                unrecorded = _call_if_charged(call, prices)
                if unrecorded is not None:
                    n_calls += 1
                    yield unrecorded
            if time.monotonic() > log_at:
                log_at = time.monotonic() + LOG_EVERY_S
                logger.info(
                    "adding up the calls that are not in the ledger yet: %d calls so far", n_calls
                )
    finally:
        reader.close()


def _parse(reader: Reader, spooled: SpooledCall) -> ParsedCall:
    """What a large call holds may take more memory than there is: the recorder tries it in a
    process apart, here it costs what it reserved."""
    if spooled.size >= LARGE:
        return parse_raw_facts(reader.load(spooled, max_body=0))
    return parse_call(reader.load(spooled))


def _call_if_charged(call: ParsedCall, prices: Prices) -> UnrecordedCall | None:
    if call.request is None or call.is_fetch or call.outcome == Outcome.REFUSED:
        return None
    reserved = call.request.reserved_usd
    status = call.response_head.status if call.response_head else None
    cost_usd = cost_of_call(prices, call).total_usd
    usd = charge_usd(
        cost_usd,
        reserved,
        status=status,
        outcome=call.outcome,
        brought_nothing=has_brought_nothing(call.parsed_response, call.outcome),
    )
    if usd is None and reserved is None:
        return None
    usd = NOTHING if usd is None else usd
    return UnrecordedCall(call.action_id, accounts_of(call), usd, reserved is not None)
