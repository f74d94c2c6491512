"""The report of a session as PDF, with the session's export attached."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capture.models import Session
from reports.export.evidence import CannotExport
from reports.export.pdf import MAX_ATTACHMENT, Paper, report_pdf
from reports.export.report import report_context
from reports.export.session import find_export, json_document

# By the name that they are asked for.
PAPERS: dict[str, Paper] = {"a4": "a4", "letter": "us-letter"}


def session_report_pdf(
    session: Session, part: int = 1, paper: str = "a4", checkpoint_size: int | None = None
) -> bytes:
    """Returns the PDF of a part; the first has the export attached, unless it is too large.

    Raises NoSuchPart and PdfUnavailable.
    """
    context = report_context(session, part, checkpoint_size)
    with tempfile.TemporaryDirectory(prefix="agentledger-export-") as folder:
        export = Path(folder) / "export.json"
        # Its date is the report's: the same calls and checkpoint make the same bytes.
        is_whole = part == 1 and _write_export(session, export, context)
        return report_pdf(context, export if is_whole else None, paper=PAPERS[paper])


def _write_export(session: Session, target: Path, context: dict[str, Any]) -> bool:
    """Returns whether the export is there and small enough to be attached."""
    export = find_export(session.session_id, context["checkpoint_size"])
    if export is None:
        return False
    n_written = 0
    document = json_document(export, datetime.fromtimestamp(context["at"], UTC))
    with target.open("wb") as file, suppress(CannotExport):
        for piece in document:
            n_written += file.write(piece)
            if n_written > MAX_ATTACHMENT:
                return False
    return n_written > 0
