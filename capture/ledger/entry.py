"""An entry of the ledger: a parsed call, with what depends on more than its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from capture.parsing.parsed_call import ParsedCall
from capture.parsing.thumbnails import Thumbnail
from capture.pricing.call_cost import charge_usd, has_brought_nothing
from capture.pricing.cost import Cost
from capture.pricing.prices import Prices


class Entry(NamedTuple):
    call: ParsedCall
    cost: Cost
    thumbnails: Mapping[bytes, Thumbnail] = MappingProxyType({})  # by the binary's digest
    # Of a call that fetches: what it fetched is priced again as the call that asked for it.
    prices: Prices | None = None
    is_requeued: bool = False  # it replaces the raw facts that the ledger may have of the call

    @property
    def charge_usd(self) -> Decimal | None:
        """The amount that budgets are charged: see `capture.pricing.call_cost.charge_usd`."""
        return charge_usd(
            self.cost.total_usd,
            self.call.request.reserved_usd if self.call.request else None,
            status=self.call.status,
            outcome=self.call.outcome,
            brought_nothing=has_brought_nothing(self.call.parsed_response, self.call.outcome),
        )

    def without_usage(self) -> Entry:
        """Returns the entry of a call that fetched a response which another call pays for."""
        call = self.call._replace(usage=None, usage_source="none")
        return self._replace(call=call, cost=Cost.fetched())
