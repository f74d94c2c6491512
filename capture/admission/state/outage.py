"""The treatment of calls while limits and budgets cannot be checked."""

from __future__ import annotations

import logging
import time
from typing import Literal

from capture.admission.decision import NOTHING_APPLIES, Admitted, Refused

logger = logging.getLogger("agentledger.admission")

# The pause between tries: each failed try can hold up a call for the whole time-out.
PAUSE_S = 1.0


class Outage:
    """An outage of one system; logged once when it begins and once when it ends."""

    def __init__(self, what: str, on_failure: Literal["pass", "block"]) -> None:
        self._what = what
        self._on_failure = on_failure
        self._tried = 0.0
        self.reason: str | None = None

    @property
    def passes(self) -> bool:
        return self._on_failure == "pass"

    def may_try(self) -> bool:
        """Allows one try a second, by one call; other calls do not wait for it."""
        now = time.monotonic()
        if self.reason is not None and now - self._tried < PAUSE_S:
            return False
        self._tried = now
        return True

    def begin(self, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        if self.reason is None:
            calls = "go unlimited" if self.passes else "are refused"
            logger.warning("%s: %s; until it is back, calls %s", self._what, reason, calls)
        self._tried = time.monotonic()
        self.reason = f"{self._what}: {reason}"

    def end(self) -> None:
        if self.reason is not None:
            self.reason = None
            logger.warning("%s is back", self._what)

    def decision(self) -> Admitted | Refused:
        if self.passes:
            return NOTHING_APPLIES
        return Refused(
            status=503,
            code="limiter_unavailable",
            message="Limits and budgets cannot be checked just now.",
            retry_after_s=PAUSE_S,
            may_retry=True,
            facts={"reason": self.reason},
        )
