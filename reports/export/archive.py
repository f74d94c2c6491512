"""Several sessions in one ZIP: a folder for each, with its export and its report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from reports.chunks import Piece
from reports.export.files import safe_name
from reports.export.formats import FORMATS
from reports.export.report import report_html
from reports.export.session import SessionExport, find_export
from reports.export.session_report.calls import n_parts
from reports.export.zip_stream import ZipStream


def sessions_archive(session_ids: Iterable[str], at: datetime) -> Iterator[Piece]:
    """Yields the pieces of the ZIP as it is made; `at` is the time of the exports."""
    archive = ZipStream(at)
    try:
        for number, session_id in enumerate(session_ids, 1):
            export = find_export(session_id)
            if export is not None:  # it was not deleted meanwhile
                folder = f"{number:03}-{safe_name(session_id)}"
                for name, pieces in _files(export, at):
                    yield from archive.file(f"{folder}/{name}", pieces)
        yield from archive.end()
    finally:
        archive.close()


def _files(export: SessionExport, at: datetime) -> Iterator[tuple[str, Iterator[Piece]]]:
    yield "export.json", FORMATS["json"].write(export, at, None)
    for part in range(1, n_parts(export.session) + 1):
        suffix = "" if part == 1 else f"-part-{part}"
        page = report_html(export.session, part).encode(errors="replace")
        yield f"report{suffix}.html", iter([page])
