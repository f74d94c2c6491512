"""A call whose request is in the spool, while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from capture.admission.charge import Charge
from capture.exchange import Outcome
from capture.pricing.cost import exact_usd
from capture.proxy.http_messages import ResponseAborted
from capture.proxy.incoming_call import IncomingCall
from capture.proxy.responses import ACTION_ID, log_detail
from capture.proxy.runtime import Runtime
from capture.spool.folder import SpoolError
from capture.spool.writer import CallWriter

REMAINING = b"x-agentledger-budget-remaining-usd"


@dataclass(slots=True)
class ForwardedCall:
    incoming: IncomingCall
    runtime: Runtime
    entry: CallWriter
    charge: Charge | None  # None: no budget applies
    remaining_usd: Decimal | None  # of the budget that has the least left; None: none applies
    body_with_usage: bytes | None  # the body that asks for usage too, where the operator wants it
    is_unrecorded: bool = False  # the spool failed in mid-call, and AGENTLEDGER_ON_FULL=pass
    spool_failure: str | None = None  # the spool failed in mid-call, and so the call did

    def record(self, write: Callable[..., None], *facts: Any, **more: Any) -> None:
        """Spools a record of the response. Raises ResponseAborted if the spool fails: an agent must
        not get what is not in the spool, unless AGENTLEDGER_ON_FULL=pass."""
        try:
            write(*facts, **more)
        except SpoolError as error:
            if self.runtime.config.on_full == "block":
                self.spool_failure = str(error)
                log_detail(error.summary, str(error))
                raise ResponseAborted(error.summary) from error
            if not self.is_unrecorded:
                self.is_unrecorded = True
                self.runtime.counters.unrecorded += 1

    def settle_later(self, outcome: Outcome) -> None:
        """Settles the charge in a task of its own: that of the call is being cancelled."""
        if self.charge is not None:
            self.runtime.finish(self.charge.settle(outcome))

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        """Returns the headers that AgentLedger adds to the upstream's response."""
        headers = [(ACTION_ID, str(self.incoming.action_id).encode())]
        if self.remaining_usd is not None:
            headers.append((REMAINING, exact_usd(self.remaining_usd).encode()))
        return headers
