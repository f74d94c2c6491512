"""The formats of the report on a period."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.http import HttpRequest

from reports.export import period_csv, period_tables
from reports.export.html import render_report
from reports.export.pdf import report_pdf
from reports.export.period import PeriodReport
from reports.queries.period import ReportedPeriod

Write = Callable[[PeriodReport, HttpRequest | None], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class PeriodFormat:
    content_type: str
    most_groups: int  # of a table
    write: Write  # for a request, or as a file that needs nothing beside it
    is_download: bool = False


def _page(report: PeriodReport, request: HttpRequest | None) -> Iterator[bytes]:
    texts = period_tables.period_texts(report)
    yield render_report("report/period.html", texts, request).encode()


def _pdf(report: PeriodReport, request: HttpRequest | None) -> Iterator[bytes]:
    yield report_pdf(period_tables.period_texts(report), template="period")


def _csv(report: PeriodReport, request: HttpRequest | None) -> Iterator[bytes]:
    return (chunk.encode() for chunk in period_csv.period_csv(report))


FORMATS = {
    "html": PeriodFormat("text/html; charset=utf-8", period_tables.MOST_GROUPS, _page),
    "pdf": PeriodFormat("application/pdf", period_tables.MOST_GROUPS, _pdf, is_download=True),
    "csv": PeriodFormat("text/csv; charset=utf-8", period_csv.MOST_GROUPS, _csv, is_download=True),
}


def file_name(period: ReportedPeriod, format_: str) -> str:
    return f"period-{period.since:%Y%m%dT%H}-{period.until:%Y%m%dT%H}.{format_}"
