"""Calls whose response comes later: their budgets hold what they are expected to cost until another
call fetches the response, or until nobody has for long."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capture.admission.charge import Charge

# So many calls of one process wait at most, and so long. The budgets then take what they held for
# spent, until the next start finds in the ledger what the response cost.
MAX_WAITING = 2_000
WAIT_S = 24 * 3600.0


class AwaitedResponses:
    """The charges by the ids by which the responses are fetched, the oldest first."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[Charge, float]] = OrderedDict()

    def add(self, response_id: str, charge: Charge) -> None:
        self._waiting[response_id] = charge, time.monotonic() + WAIT_S

    def get(self, response_id: str) -> Charge | None:
        found = self._waiting.get(response_id)
        return found[0] if found else None

    def pop(self, response_id: str) -> None:
        self._waiting.pop(response_id, None)

    def pop_overdue(self) -> list[Charge]:
        now, overdue = time.monotonic(), []
        while self._waiting:
            charge, until = next(iter(self._waiting.values()))
            if until > now and len(self._waiting) <= MAX_WAITING:
                break
            self._waiting.popitem(last=False)
            overdue.append(charge)
        return overdue
