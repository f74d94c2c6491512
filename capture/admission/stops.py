"""The stop switch: which stops are in force. A database that is away lifts none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from capture.admission.decision import Refused
from capture.admission.polled_cache import LastKnown
from capture.models import Stop

# The field of a call that a stop of this scope is about.
FIELDS = {"session": "session_id", "agent": "agent_name", "user": "user_id"}


class InForce(msgspec.Struct, frozen=True):
    """One stop, as far as a call's refusal needs it."""

    id: int
    scope: str
    value: str
    reason: str

    def refusal(self) -> Refused:
        what = f"{self.scope} {self.value!r} is" if self.value else "all calls are"
        return Refused(
            status=403,
            code="stopped",
            message=f"{what} stopped: {self.reason}",
            retry_after_s=None,
            may_retry=False,
            facts={
                "stop": self.id,
                "scope": self.scope,
                "key": self.value or None,
                "reason": self.reason,
            },
        )


class Stops(LastKnown[list[InForce]]):
    def __init__(self, file: Path) -> None:
        super().__init__("stops", file, list[InForce], [])

    def refusal(self, fields: Mapping[str, str]) -> Refused | None:
        """Of a call with these x-agentledger-* fields."""
        stops = self._in_force
        if not stops:
            return None
        found = stops.get((Stop.EVERYTHING, ""))
        for scope, name in FIELDS.items():
            found = found or stops.get((scope, fields.get(name, "")))
        return found.refusal() if found else None

    def _asked(self) -> list[InForce]:
        rows = Stop.objects.in_force().values_list("id", "scope", "value", "reason")
        return [InForce(*row) for row in rows]

    def _take(self, known: list[InForce]) -> None:
        self._in_force = {(stop.scope, stop.value): stop for stop in known}
