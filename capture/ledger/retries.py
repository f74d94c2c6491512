"""Finds the earlier call that a call tries again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from capture.models import Call
from capture.parsing.parsed_call import ParsedCall

# The SDKs pause for seconds between two tries, but a try itself may take its whole time-out.
RETRIED_WITHIN = timedelta(hours=1)


class Retries:
    """The latest attempts in a batch, to which later ones of the batch may refer."""

    def __init__(self) -> None:
        # By scope and the request's SHA-256: the latest call and its attempt.
        self._latest: dict[tuple[int, str | None], tuple[UUID, int]] = {}

    def add(self, call: ParsedCall, scope: int, attempt: int) -> None:
        self._latest[scope, call.request_sha256] = (call.action_id, attempt)

    def earlier_attempt(
        self, call: ParsedCall, scope: int, attempt: int, *, is_new: bool
    ) -> UUID | None:
        """Returns the call that sent the same body before, as an attempt with a lower number; None
        if there is none. A scope that `is_new` has no calls in the ledger."""
        latest = self._latest.get((scope, call.request_sha256))
        if latest is not None and latest[1] < attempt:
            return latest[0]
        if is_new:
            return None
        earlier = Call.objects.filter(
            session=scope if scope > 0 else None,
            scope=scope,
            timestamp__gte=call.timestamp - RETRIED_WITHIN,
            request_sha256=call.request_sha256,
            attempt__lt=attempt,
        )
        return earlier.order_by("-seq").values_list("pk", flat=True).first()
