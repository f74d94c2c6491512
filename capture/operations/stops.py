"""Stopping and resuming calls, for the API, the admin and the commands."""

from __future__ import annotations

from django.db import transaction
from django.utils.timezone import now

from access import audit
from access.actors import Actor
from capture.models import Stop

MAX_ID = 2**63 - 1


def stop(
    actor: Actor, scope: str, value: str, *, reason: str, who: str | None = None
) -> tuple[Stop, bool]:
    """Returns the stop in force, and whether it is new: a second stop of the same calls leaves the
    first one in force. Readers see `who` as its author, by default the actor."""
    facts = {"reason": reason, "who": who or actor.name, "created_at": now()}
    with transaction.atomic():
        made, is_new = Stop.objects.in_force().get_or_create(
            scope=scope, value=value, defaults=facts
        )
        if is_new:
            audit.record(actor, "stop.create", str(made), id=made.pk, reason=reason, who=made.who)
    return made, is_new


def resume(actor: Actor, scope: str, value: str) -> int:
    """Returns how many stops were lifted: 0 or 1."""
    found = Stop.objects.in_force().filter(scope=scope, value=value).first()
    return int(found is not None and _lift(actor, found))


def lift(actor: Actor, stop_id: int) -> Stop | None:
    """Returns the stop, which may have been lifted before; None if no stop has this id."""
    if stop_id > MAX_ID:  # SQLite raises an error for larger integers
        return None
    found = Stop.objects.filter(pk=stop_id).first()
    if found is not None and _lift(actor, found):
        found.refresh_from_db()
    return found


def _lift(actor: Actor, found: Stop) -> bool:
    with transaction.atomic():
        in_force = Stop.objects.in_force().filter(pk=found.pk)
        lifted = in_force.update(lifted_at=now()) == 1
        if lifted:
            audit.record(actor, "stop.lift", str(found), id=found.pk)
    return lifted
