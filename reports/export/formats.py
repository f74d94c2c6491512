"""The formats in which a session is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from reports.chunks import Piece
from reports.export.bundle import bundle
from reports.export.report import report_html
from reports.export.session import Progress, SessionExport, json_document, json_lines
from reports.export.session_pdf import session_report_pdf

Write = Callable[[SessionExport, datetime, Progress | None], Iterator[Piece]]


@dataclass(frozen=True, slots=True)
class Format:
    suffix: str  # of the names of its files
    content_type: str
    write: Write


FORMATS = {
    "json": Format(".json", "application/json", json_document),
    "jsonl": Format(".jsonl", "application/x-ndjson", json_lines),
    "bundle": Format(".zip", "application/zip", bundle),
}


def _html(export: SessionExport, at: datetime, progress: Progress | None) -> Iterator[Piece]:
    yield report_html(export.session).encode()


def _pdf(export: SessionExport, at: datetime, progress: Progress | None) -> Iterator[Piece]:
    yield session_report_pdf(export.session, checkpoint_size=export.checkpoint_size)


# Reports have addresses of their own.
REPORTS = {
    "html": Format(".html", "text/html", _html),
    "pdf": Format(".pdf", "application/pdf", _pdf),
}
