from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.timezone import now

from access.management.database_errors import describe_database_error
from capture.ledger.log.read import log_size
from reports.management.progress import ProgressBar
from reports.models import Checkpoint
from reports.verification import history
from reports.verification.walk import Walk, verify_ledger


class Command(BaseCommand):
    help = (
        "Verify that all that is stored is what was recorded: every call, deletion, correction and"
        " audit entry against the log, and the log against its checkpoints and anchors."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since",
            type=int,
            default=0,
            metavar="CHECKPOINT",
            help="the size of a checkpoint: verify only what was logged after it",
        )
        parser.add_argument("--json", action="store_true", help="write the result as JSON")

    def handle(self, *, since: int, json: bool, **options: Any) -> None:
        began, started_at = time.monotonic(), now()
        try:
            if since and not Checkpoint.objects.filter(size=since).exists():
                raise CommandError(f"there is no checkpoint of {since} entries")
            with ProgressBar(log_size(), "entries") as progress:
                walk = verify_ledger(since, progress)
            if not since:
                history.record(walk, started_at)
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        seconds = time.monotonic() - began
        self.stdout.write(_as_json(walk, seconds) if json else _as_text(walk, seconds))
        if not walk.is_intact:
            raise SystemExit(1)


def _as_json(walk: Walk, seconds: float) -> str:
    found = {name: value for name, value in walk.state().items() if name not in _OWN}
    found |= {
        "ok": walk.is_intact,
        "n_findings": walk.findings.n,
        "findings": [one.json() for one in walk.findings.told],
        "seconds": round(seconds, 3),
    }
    return json.dumps(found)


_OWN = ("position", "last_audit_id", "is_finished", "findings")


def _as_text(walk: Walk, seconds: float) -> str:
    lines = [str(one) for one in walk.findings.told]
    if walk.findings.n > len(lines):
        lines.append(f"and {walk.findings.n - len(lines)} more")
    lines += [
        f"The anchor {one['name']} was not asked: {one['failure']}"
        for one in walk.anchors
        if one["failure"]
    ]
    counts = [
        f"{walk.n_calls} calls",
        f"{walk.n_entries} other entries",
        *([f"{walk.n_deleted} deleted calls"] if walk.n_deleted else []),
        *([f"{walk.n_replaced} calls that were recorded anew"] if walk.n_replaced else []),
    ]
    lines.append(
        f"The ledger is intact: {', '.join(counts)} in {seconds:.1f} s"
        if walk.is_intact
        else f"The ledger is not intact: {walk.findings.n} differences"
    )
    if walk.n_not_kept:
        lines.append(f"Of {walk.n_not_kept} calls a body is not stored as it was sent")
    if walk.n_unlogged:
        lines.append(f"{walk.n_unlogged} calls were recorded before there was a log")
    return "\n".join(lines)
