"""The report on a period: what its calls cost, what failed, and what was changed or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.timezone import now

from capture.ledger.rollup_sums import CALL_NAMES
from reports.models import Checkpoint
from reports.queries.period import Day, ReportedPeriod
from reports.queries.period_events import (
    Audit,
    Deletion,
    Estimates,
    Failure,
    read_audit,
    read_checkpoints,
    read_deletions,
    read_estimates,
    read_failures,
)
from reports.queries.rollup_groups import Figures, Group, read_groups, sum_of

# The names by which each table groups. Users have sums of their own, of all agents.
TABLES = (
    ("app_id",),
    ("user_id",),
    ("agent_name",),
    ("model_id",),
    ("app_id", "agent_name", "model_id"),
)


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The most expensive groups, and the sums of all others (None: there are none)."""

    by: tuple[str, ...]
    groups: list[Group]
    rest: Figures | None


@dataclass(frozen=True, slots=True)
class PeriodReport:
    period: ReportedPeriod
    made_at: datetime
    total: Figures
    days: list[tuple[Day, Figures]]  # those that have calls
    tables: list[GroupTable]
    failures: list[Failure]
    estimates: Estimates
    deletions: list[Deletion]
    checkpoints: list[Checkpoint]
    audit: Audit | None  # None: the reader may not read the audit log

    @property
    def n_unexplained(self) -> int:
        """The calls that failed or were refused and are in no row of `failures`: they were deleted
        since, or are older than those that were looked at."""
        explained = sum(failure.call_count for failure in self.failures)
        return max(0, self.total.error_count + self.total.refused_count - explained)


def read_report(period: ReportedPeriod, most_groups: int, *, with_audit: bool) -> PeriodReport:
    found = {
        by: list(read_groups(period.rollups(), by, period.filters, most_groups))
        for by in TABLES
        if not (by == ("user_id",) and period.filters)
    }
    # Read last: calls that are recorded meanwhile are in the rest of each table.
    days = [
        (day, sum_of(one.figures for one in _groups_of(period, day, ()))) for day in period.days
    ]
    total = sum_of(figures for _, figures in days)
    return PeriodReport(
        period,
        now(),
        total,
        [(day, figures) for day, figures in days if figures.call_count],
        [_table(by, groups, total) for by, groups in found.items()],
        read_failures(period),
        read_estimates(period),
        read_deletions(period),
        read_checkpoints(period),
        read_audit(period) if with_audit else None,
    )


def read_details(period: ReportedPeriod) -> Iterator[tuple[Day, Group]]:
    """Yields the sums of each day and all names together, as far as an hour distinguishes them."""
    for day in period.days:
        for group in _groups_of(period, day, CALL_NAMES):
            yield day, group


def _groups_of(period: ReportedPeriod, day: Day, by: tuple[str, ...]) -> Iterator[Group]:
    return read_groups(period.rollups_of(day), by, period.filters, None)


def _table(by: tuple[str, ...], groups: list[Group], total: Figures) -> GroupTable:
    named = [group for group in groups if not group.is_other]
    rest = total.minus(group.figures for group in named)
    return GroupTable(by, named, rest if rest.call_count else None)
