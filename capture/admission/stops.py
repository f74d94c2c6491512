"""The stops in force. They stay in force while the database is unavailable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from capture.admission.decision import Refused
from capture.admission.ledger_cache import LedgerCache
from capture.models import Stop

# The field of a call that a stop of each scope is compared with.
FIELDS = {"session": "session_id", "agent": "agent_name", "user": "user_id"}


class ActiveStop(msgspec.Struct, frozen=True):
    """The fields of a stop that a refusal needs."""

    id: int
    scope: str
    value: str
    reason: str

    def refusal(self) -> Refused:
        subject = f"{self.scope} {self.value!r} is" if self.value else "all calls are"
        return Refused(
            status=403,
            code="stopped",
            message=f"{subject} stopped: {self.reason}",
            retry_after_s=None,
            may_retry=False,
            facts={
                "stop": self.id,
                "scope": self.scope,
                "key": self.value or None,
                "reason": self.reason,
            },
        )


class Stops(LedgerCache[list[ActiveStop]]):
    def __init__(self, file: Path) -> None:
        super().__init__("stops", file, list[ActiveStop], [])

    def refusal(self, fields: Mapping[str, str]) -> Refused | None:
        """`fields` are the x-agentledger-* fields of a call."""
        stops = self._by_target
        if not stops:
            return None
        found = stops.get((Stop.EVERYTHING, ""))
        for scope, name in FIELDS.items():
            found = found or stops.get((scope, fields.get(name, "")))
        return found.refusal() if found else None

    def query(self) -> list[ActiveStop]:
        rows = Stop.objects.in_force().values_list("id", "scope", "value", "reason")
        return [ActiveStop(*row) for row in rows]

    def apply(self, value: list[ActiveStop]) -> None:
        self._by_target = {(stop.scope, stop.value): stop for stop in value}
