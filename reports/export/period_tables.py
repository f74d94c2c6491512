"""The report on a period as texts in tables, from which its page and its PDF are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from access.models import AuditEntry
from capture.wire.json.lenient import dump
from reports.export.house import house
from reports.export.period import GroupTable, PeriodReport
from reports.output.formats import UNKNOWN, count
from reports.queries.period import ReportedPeriod
from reports.queries.period_events import MAX_CALLS, START
from reports.queries.rollup_groups import Figures

NAMES = {"app_id": "Application", "user_id": "User", "agent_name": "Agent", "model_id": "Model"}
FIGURES = ("USD", "Unknown cost", "Calls", "Errors", "Refused", "Tokens in", "Tokens out")
# The groups of a table, and the rows of a table of entries; a CSV has more.
MOST_GROUPS, MOST_ROWS = 100, 200


@dataclass(frozen=True, slots=True)
class Row:
    texts: list[str]
    numbers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TextTable:
    title: str
    head: Row
    rows: list[Row]
    total: Sequence[str] = ()  # of the numbers
    notes: list[str] = field(default_factory=list)
    is_by_time: bool = False  # the first column has days or times


def period_texts(report: PeriodReport) -> dict[str, Any]:
    """Returns what templates show: texts, and tables of them."""
    period = report.period
    costs = _Costs(report)
    title = f"Report on {_title(period)}"
    return {
        **house(),
        "title": title,
        "running_title": title,
        "subtitle": _subtitle(report),
        "foot": f"AgentLedger {settings.VERSION}",
        "at": int(report.made_at.timestamp()),
        "date": list(report.made_at.timetuple()[:6]),
        "facts": list(zip(("Cost in USD", *FIGURES[1:]), costs.total(), strict=True)),
        "notes": _notes(report, costs),
        "tables": [
            _days(report, costs),
            *(_groups(report, costs, table) for table in report.tables),
            _failures(report),
            *_audit(report),
            _deletions(report),
            _checkpoints(report),
        ],
    }


def _title(period: ReportedPeriod) -> str:
    if period.since.hour or period.until.hour:
        return f"{period.since:%Y-%m-%d %H:%M} to {period.until:%Y-%m-%d %H:%M}"
    return f"{period.since:%Y-%m-%d} to {period.until - timedelta(days=1):%Y-%m-%d}"


def _subtitle(report: PeriodReport) -> str:
    period = report.period
    calls = "All calls" if period.agent_name is None else f"Calls of the agent {period.agent_name}"
    times = f"from {_time(report, period.since)} until before {_time(report, period.until)}"
    return f"{calls} {times}, made at {_time(report, report.made_at)}, time zone {period.zone}"


def _notes(report: PeriodReport, costs: _Costs) -> list[str]:
    estimates = report.estimates
    notes = ["Sums are exact, and include calls that were deleted since."]
    if report.total.cost_unknown_calls:
        n_calls = f"{report.total.cost_unknown_calls:,}"
        notes.append(f"The cost of {n_calls} calls is unknown: they are counted apart.")
    if estimates.call_count:
        least = "" if estimates.is_complete else "at least "
        amount = f"{costs.amount(estimates.cost_usd)} USD of {estimates.call_count:,} calls"
        notes.append(f"≈ marks sums with costs of estimated tokens: {least}{amount}.")
    if report.period.agent_name is not None:
        notes.append(
            "Users have sums of all agents together, so costs by user are left out."
            " Changes of policy and deletions are those of all agents."
        )
    return notes


def _time(report: PeriodReport, at: datetime) -> str:
    return f"{at.astimezone(report.period.zone):%Y-%m-%d %H:%M:%S}"


# --- costs ---


class _Costs:
    """Writes all amounts of a report with as many decimal places as their exact values need."""

    def __init__(self, report: PeriodReport) -> None:
        self._report = report
        amounts = [report.total.cost_usd, report.estimates.cost_usd]
        amounts += [figures.cost_usd for _, figures in report.days]
        for table in report.tables:
            amounts += [group.figures.cost_usd for group in table.groups]
        self._places = max(2, *(_places(amount) for amount in amounts if amount is not None))

    def amount(self, usd: Decimal | None) -> str:
        return UNKNOWN if usd is None else f"{usd:,.{self._places}f}"

    def row(self, texts: list[str], figures: Figures, is_estimate: bool) -> Row:
        counts = (
            *(figures.cost_unknown_calls, figures.call_count, figures.error_count),
            *(figures.refused_count, figures.tokens_in, figures.tokens_out),
        )
        cost = self.amount(figures.cost_usd)
        return Row(texts, [f"≈ {cost}" if is_estimate else cost, *map(count, counts)])

    def total(self) -> Sequence[str]:
        return self.row([], self._report.total, self._report.estimates.call_count > 0).numbers


def _places(amount: Decimal) -> int:
    return max(0, -int(amount.normalize().as_tuple().exponent))


def _days(report: PeriodReport, costs: _Costs) -> TextTable:
    estimated = report.estimates.names_of(["date"])
    rows = [
        costs.row([day.date.isoformat()], figures, (day.date,) in estimated)
        for day, figures in report.days
    ]
    return TextTable("Cost by day", Row(["Day"], FIGURES), rows, costs.total(), is_by_time=True)


def _groups(report: PeriodReport, costs: _Costs, table: GroupTable) -> TextTable:
    estimated = report.estimates.names_of(table.by)
    rows = []
    for group in table.groups:
        names = tuple(group.names.values())
        rows.append(costs.row(list(map(_name, names)), group.figures, names in estimated))
        estimated.discard(names)
    if table.rest is not None:
        others = ["all others", *[""] * (len(table.by) - 1)]
        rows.append(costs.row(others, table.rest, bool(estimated)))
    titles = [NAMES[name] for name in table.by]
    title = f"Cost by {', '.join(titles).lower()}"
    return TextTable(title, Row(titles, FIGURES), rows, costs.total())


def _name(name: str | None) -> str:
    return UNKNOWN if name is None else name


# --- failures, the audit log, deletions ---


def _failures(report: PeriodReport) -> TextTable:
    rows = [
        Row(
            [
                failure.outcome.replace("_", " "),
                _name(failure.refusal_code),
                count(failure.status_code),
            ],
            [count(failure.call_count)],
        )
        for failure in report.failures
    ]
    notes = []
    if report.n_unexplained:
        rows.append(Row(["not known", UNKNOWN, UNKNOWN], [count(report.n_unexplained)]))
        notes = [f"Not known: of calls deleted since, or before the newest {MAX_CALLS:,}."]
    n_failures = report.total.error_count + report.total.refused_count
    head = Row(["Outcome", "Reason of the refusal", "Status"], ["Calls"])
    total = [count(n_failures)] if rows else ()
    return TextTable("Errors and refusals", head, rows, total, notes)


def _audit(report: PeriodReport) -> list[TextTable]:
    titles = ["Time", "Who", "From", "What", "Of what", "Details"]
    if report.audit is None:
        note = "Left out: they come from the audit log, which only the role admin may read."
        return [TextTable("Changes of policy", Row(titles), [], notes=[note])]
    policy = [Row(_entry(report, entry)) for entry in report.audit.policy]
    deletions = [Row(_entry(report, entry)[:5]) for entry in report.audit.deletions]
    counts = [Row([action], [count(n)]) for action, n in report.audit.counts]
    return [
        _cut(TextTable("Changes of policy", Row(titles), policy, is_by_time=True)),
        _cut(TextTable("Orders to delete", Row(titles[:5]), deletions, is_by_time=True)),
        TextTable("Entries of the audit log", Row(["What"], ["Entries"]), counts),
    ]


def _entry(report: PeriodReport, entry: AuditEntry) -> list[str]:
    what = "other settings" if entry.action == START else entry.action
    who = [_time(report, entry.at), entry.actor, _name(entry.address)]
    return [*who, what, entry.object, describe(entry)]


def describe(entry: AuditEntry) -> str:
    """Returns what an entry of the audit log says in detail, on one line."""
    return "; ".join(f"{name}: {_value(value)}" for name, value in entry.details.items())


def _value(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"from", "to"}:
        return f"{_value(value['from'])} → {_value(value['to'])}"
    if value is None:
        return UNKNOWN
    return value if isinstance(value, str) else dump(value)


def _deletions(report: PeriodReport) -> TextTable:
    rows = []
    for deletion in report.deletions:
        seqs = (deletion.first_seq, deletion.last_seq)
        numbers = map(count, (*seqs, deletion.call_count, deletion.log_index))
        rows.append(Row([_time(report, deletion.at)], list(numbers)))
    head = Row(["Time"], ["First number", "Last number", "Calls", "Entry of the log"])
    return _cut(TextTable("Deleted calls", head, rows, is_by_time=True))


def _checkpoints(report: PeriodReport) -> TextTable:
    zone = report.period.zone
    last_of_days = {one.at.astimezone(zone).date(): one for one in report.checkpoints}
    rows = [
        Row([_time(report, one.at), one.root], [count(one.size)]) for one in last_of_days.values()
    ]
    head = Row(["Time", "Root"], ["Entries of the log"])
    left_out = len(report.checkpoints) - len(rows)
    notes = [f"The last of each day: the CSV has {left_out:,} more."] if left_out else []
    return _cut(TextTable("Checkpoints of the log", head, rows, notes=notes, is_by_time=True))


def _cut(table: TextTable) -> TextTable:
    """Returns the table with its newest rows alone."""
    if len(table.rows) <= MOST_ROWS:
        return table
    note = f"The newest {MOST_ROWS} of {len(table.rows):,} rows: the CSV has more."
    return replace(table, rows=table.rows[-MOST_ROWS:], notes=[*table.notes, note])
