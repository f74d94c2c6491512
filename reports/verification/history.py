"""What verifications of the whole log found, and the one that is under way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.timezone import now

from reports.models import Verification
from reports.verification.walk import Walk

KEPT = 50


def last_finished() -> Verification | None:
    return Verification.objects.exclude(finished_at=None).order_by("-finished_at").first()


def under_way() -> Verification | None:
    return Verification.objects.filter(finished_at=None).order_by("-id").first()


def begin() -> tuple[Verification, Walk]:
    walk = Walk.begin()
    return Verification.objects.create(started_at=now(), state=walk.state()), walk


def save(row: Verification, walk: Walk) -> None:
    """Notes how far it is, and forgets the oldest ones when it is finished."""
    row.state, row.n_findings = walk.state(), walk.findings.n
    row.finished_at = now() if walk.is_finished else None
    row.save()
    if walk.is_finished:
        old = Verification.objects.order_by("-id").values_list("id", flat=True)[KEPT:]
        Verification.objects.filter(id__in=list(old)).delete()


def record(walk: Walk, started_at: datetime) -> None:
    """Keeps what a command found."""
    save(Verification(started_at=started_at), walk)


def describe(row: Verification) -> dict[str, Any]:
    """Returns what /readyz and pages say of a verification, as JSON."""
    findings = row.state["findings"]["told"]
    return {
        "started_at": row.started_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "size": row.state["size"],
        "n_findings": row.n_findings,
        "first": findings[0] if findings else None,
    }
