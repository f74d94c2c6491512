"""How many sessions had been deleted when a call began: this tells the calls of a deleted session
from those that came after, where clocks that are set back do not."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class DeletionCount:
    """Holds what this process knows of the ledger's count.

    It need not be exact for deletions by other processes within the last second: of calls that
    began then, clocks decide.
    """

    def __init__(self) -> None:
        self.known = 0
        self._latest_start_ns = 0

    def start_call(self) -> int:
        """Returns the time of a call that begins now, in nanoseconds since 1970."""
        at_ns = time.time_ns()
        self._latest_start_ns = max(self._latest_start_ns, at_ns)
        return at_ns

    def after_all_calls(self, now: datetime) -> datetime:
        """Returns `now`, or the time of a call of this process that began when the clock was
        ahead."""
        return max(now, datetime.fromtimestamp(self._latest_start_ns / 1e9, UTC))


deletion_count = DeletionCount()
