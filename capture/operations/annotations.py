"""Annotations of a session by readers: labels, a note, a pin. The recorder does not change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from access import audit
from access.actors import Actor
from capture.ledger.sessions import session_names
from capture.models import Ledger, Session, SessionValue

LABEL = "label"


def annotate(actor: Actor, session_id: str, changes: Mapping[str, Any]) -> Session | None:
    """Sets those of `labels`, `note` and `pinned` that are in `changes`. Returns None if there is
    no such session."""
    with transaction.atomic():
        # A recorder writes `names` too, from the labels that it reads under this lock.
        Ledger.objects.select_for_update().get(pk=1)
        session = Session.objects.not_deleted().filter(session_id=session_id).first()
        if session is None:
            return None
        for name, value in changes.items():
            setattr(session, name, value)
        if "labels" in changes:
            session.names = session_names(session)
            SessionValue.objects.filter(session=session, name=LABEL).delete()
            SessionValue.objects.bulk_create(
                SessionValue(session=session, name=LABEL, value=label) for label in session.labels
            )
        session.save(update_fields=["labels", "note", "pinned", "names"])
        # The text of a note is deleted with its session, but the audit log is kept: it only says
        # that a note was written.
        facts = {name: True if name == "note" else value for name, value in changes.items()}
        audit.record(actor, "session.annotate", session_id, **facts)
    return session
