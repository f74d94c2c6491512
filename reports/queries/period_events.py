"""What a report on a period has beside its sums: failures, estimates, deletions, and entries of the
audit log. Each query is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import BigIntegerField, BooleanField, Count, Max, Min, Q, QuerySet, Sum
from django.db.models.expressions import RawSQL
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from access.models import AuditEntry
from capture.ledger.rollup_sums import ALL_NAMES
from capture.models import Call, Tombstone
from reports.models import Checkpoint
from reports.queries.period import ReportedPeriod

# The newest calls that are looked at, and the newest entries.
MAX_CALLS = 100_000
MAX_ENTRIES = 10_000

# As the conditions of partial indexes are written: SQLite finds no index by a parameter's value.
FAILED = RawSQL("NOT (outcome = 'completed')", (), BooleanField())
ESTIMATED = RawSQL("usage_source = 'estimated'", (), BooleanField())
ESTIMATE_NAMES = ("date", *ALL_NAMES)
POLICY = ("stop.create", "stop.lift", "token.create", "token.revoke", "rotate_signing_key")
DELETIONS = ("session.delete", "call.delete")
START = "start"


@dataclass(frozen=True, slots=True)
class Failure:
    """Calls that failed or were refused in the same way."""

    outcome: str
    status_code: int | None
    refusal_code: str | None
    call_count: int


def read_failures(period: ReportedPeriod) -> list[Failure]:
    """Returns the failures, most frequent first, of calls that were not deleted."""
    calls = Call.objects.filter(pk__in=_newest(period, FAILED).values("pk")).order_by()
    of_flood = Cast(KeyTextTransform("n_calls", "body__refusal"), BigIntegerField())
    found = calls.values("outcome", "status_code", "refusal_code").annotate(
        call_count=Sum(Coalesce(of_flood, 1))
    )
    failures = [Failure(**row) for row in found]
    return sorted(failures, key=lambda one: (-one.call_count, one.outcome, one.status_code or 0))


@dataclass(frozen=True, slots=True)
class Estimates:
    """The calls whose cost follows from estimated tokens."""

    call_count: int
    cost_usd: Decimal
    is_complete: bool  # False: only the newest `MAX_CALLS` were looked at
    names: set[tuple[Any, ...]]  # the day and the names of each, in the order of `ESTIMATE_NAMES`

    def names_of(self, by: Sequence[str]) -> set[tuple[Any, ...]]:
        places = [ESTIMATE_NAMES.index(name) for name in by]
        return {tuple(names[place] for place in places) for names in self.names}


def read_estimates(period: ReportedPeriod) -> Estimates:
    calls = _newest(period, ESTIMATED, Q(cost_usd__isnull=False)).values_list(
        "cost_usd", "timestamp", *ALL_NAMES
    )
    names, total, n_calls = set(), Decimal(0), 0
    for cost, at, *values in calls.iterator(2000):
        n_calls += 1
        total += cost or 0
        names.add((at.astimezone(period.zone).date(), *values))
    return Estimates(n_calls, total, n_calls < MAX_CALLS, names)


def _newest(period: ReportedPeriod, *conditions: Q | RawSQL) -> QuerySet[Call]:
    calls = Call.objects.not_deleted().filter(*conditions, **period.filters)
    in_period = calls.filter(timestamp__gte=period.since, timestamp__lt=period.until)
    return in_period.order_by("-timestamp")[:MAX_CALLS]


# --- deletions ---


@dataclass(frozen=True, slots=True)
class Deletion:
    """The calls that were deleted at one time: those of a session, or one call."""

    at: datetime
    call_count: int
    first_seq: int | None  # None: none of them had been recorded
    last_seq: int | None
    log_index: int | None  # of the log's entry on the deletion; None: there is none yet


def read_deletions(period: ReportedPeriod) -> list[Deletion]:
    """Returns the newest deletions of the period, the oldest of them first. Deleted calls have no
    names any more."""
    tombstones = Tombstone.objects.filter(deleted_at__gte=period.since, deleted_at__lt=period.until)
    found = (
        tombstones.values("deleted_at")
        .annotate(n=Count("pk"), first=Min("seq"), last=Max("seq"), entry=Max("deletion_index"))
        .order_by("-deleted_at")
    )
    deletions = [
        Deletion(row["deleted_at"], row["n"], row["first"], row["last"], row["entry"])
        for row in found[:MAX_ENTRIES]
    ]
    return deletions[::-1]


# --- checkpoints ---


def read_checkpoints(period: ReportedPeriod) -> list[Checkpoint]:
    """Returns the newest checkpoints of the period, the oldest of them first, without notes."""
    in_period = Checkpoint.objects.filter(at__gte=period.since, at__lt=period.until)
    return list(in_period.only("size", "root", "at").order_by("-size")[:MAX_ENTRIES])[::-1]


# --- the audit log ---


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit log says of a period, the oldest entries first."""

    policy: list[AuditEntry]  # stops and tokens, and starts with other settings than before
    deletions: list[AuditEntry]
    counts: list[tuple[str, int]]  # the number of entries of each action


def read_audit(period: ReportedPeriod) -> Audit:
    entries = AuditEntry.objects.filter(at__gte=period.since, at__lt=period.until)
    starts = _changes_of_settings(period, _newest_entries(entries, [START]))
    policy = sorted([*_newest_entries(entries, POLICY), *starts], key=lambda entry: entry.pk)
    counts = entries.order_by("action").values_list("action").annotate(n=Count("pk"))
    return Audit(policy, _newest_entries(entries, DELETIONS), list(counts))


def _newest_entries(entries: QuerySet[AuditEntry], actions: Sequence[str]) -> list[AuditEntry]:
    return list(entries.filter(action__in=actions).order_by("-pk")[:MAX_ENTRIES])[::-1]


def _changes_of_settings(
    period: ReportedPeriod, starts: Iterable[AuditEntry]
) -> Iterable[AuditEntry]:
    """Yields the starts with other settings than those of the start before, and as details what
    changed: `{variable: {"from", "to"}}`, null for a variable that is not set."""
    before: dict[str, Any] | None = None
    for entry in starts:
        if before is None:
            earlier = AuditEntry.objects.filter(action=START, pk__lt=entry.pk)
            last = earlier.order_by("-pk").first()
            before = _settings(last) if last is not None else {}
        after = _settings(entry)
        changed = {
            name: {"from": before.get(name), "to": after.get(name)}
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        }
        before = after
        if changed:
            entry.details = changed
            yield entry


def _settings(start: AuditEntry) -> dict[str, Any]:
    return {"version": start.details["version"], **start.details["variables"]}
