"""Stop and resume: what the API and the commands do alike."""

from __future__ import annotations

from django.utils.timezone import now

from capture.models import Stop

MAX_ID = 2**63 - 1


def stop(scope: str, value: str, *, reason: str, who: str | None) -> tuple[Stop, bool]:
    """The stop in force, and whether it is a new one: of two for the same, the first stays."""
    return Stop.objects.in_force().get_or_create(
        scope=scope,
        value=value,
        defaults={"reason": reason, "who": who, "created_at": now()},
    )


def resume(scope: str, value: str) -> int:
    """How many stops were lifted: 0 or 1."""
    return Stop.objects.in_force().filter(scope=scope, value=value).update(lifted_at=now())


def lift(stop_id: int) -> Stop | None:
    """The stop, lifted now or before; None: there is none of this id."""
    if stop_id > MAX_ID:  # SQLite cannot even be asked for it
        return None
    Stop.objects.in_force().filter(pk=stop_id).update(lifted_at=now())
    return Stop.objects.filter(pk=stop_id).first()
