"""The report on a period as one CSV: its first column names the table that a row belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any

from access.models import AuditEntry
from capture.ledger.rollup_sums import CALL_NAMES
from reports.export.period import GroupTable, PeriodReport, read_details
from reports.export.period_tables import describe
from reports.output.csv_table import csv_chunks
from reports.queries.rollup_groups import Figures

# As many as an hour distinguishes.
MOST_GROUPS = 10_000

COLUMNS = (
    *("table", "at", "app_id", "user_id", "agent_name", "model_id", "provider", "environment"),
    *("is_other", "call_count", "error_count", "refused_count"),
    *("tokens_in", "tokens_out", "cost_usd", "cost_unknown_calls", "cost_is_estimate"),
    *(
        "outcome",
        "status_code",
        "refusal_code",
        "first_seq",
        "last_seq",
        "log_index",
        "log_size",
        "log_root",
    ),
    *("actor", "address", "action", "object", "details"),
)
Row = dict[str, Any]


def period_csv(report: PeriodReport) -> Iterator[str]:
    """Yields the CSV in chunks. The details of days are read as they are written."""
    return csv_chunks(COLUMNS, _rows(report))


def _rows(report: PeriodReport) -> Iterator[Row]:
    yield _costs("total", report.total, report.estimates.call_count > 0)
    days = report.estimates.names_of(["date"])
    for day, figures in report.days:
        yield _costs("day", figures, (day.date,) in days, at=day.date)
    for table in report.tables:
        yield from _groups(report, table)
    yield from _details(report)
    for failure in report.failures:
        yield {"table": "failures", **asdict(failure)}
    for deletion in report.deletions:
        yield {"table": "deletions", **asdict(deletion)}
    for one in report.checkpoints:
        yield {"table": "checkpoints", "at": one.at, "log_size": one.size, "log_root": one.root}
    if report.audit is not None:
        yield from (_entry("policy", entry) for entry in report.audit.policy)
        yield from (_entry("orders to delete", entry) for entry in report.audit.deletions)


def _groups(report: PeriodReport, table: GroupTable) -> Iterator[Row]:
    name = " ".join(table.by)
    estimated = report.estimates.names_of(table.by)
    for group in table.groups:
        names = tuple(group.names.values())
        yield {**_costs(name, group.figures, names in estimated), **group.names, "is_other": False}
        estimated.discard(names)
    if table.rest is not None:
        yield {**_costs(name, table.rest, bool(estimated)), "is_other": True}


def _details(report: PeriodReport) -> Iterator[Row]:
    """Yields the sums of each day and all names together, from which any others can be made."""
    estimated = report.estimates.names_of(["date", *CALL_NAMES])
    for day, group in read_details(report.period):
        is_estimate = (day.date, *group.names.values()) in estimated
        costs = _costs("details", group.figures, is_estimate, at=day.date)
        yield {**costs, **group.names, "is_other": group.is_other}


def _costs(table: str, figures: Figures, is_estimate: bool, *, at: date | None = None) -> Row:
    return {"table": table, "at": at, "cost_is_estimate": is_estimate, **asdict(figures)}


def _entry(table: str, entry: AuditEntry) -> Row:
    facts = {name: getattr(entry, name) for name in ("at", "actor", "address", "action", "object")}
    return {"table": table, **facts, "details": describe(entry)}
