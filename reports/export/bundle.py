"""A bundle: a ZIP of a session's export with all that is needed to verify it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from capture.evidence.checkpoint import PROOF_HEADER
from reports.chunks import Piece
from reports.export import verify
from reports.export.html import render_report
from reports.export.pdf import PdfUnavailable, report_pdf
from reports.export.report import NoSuchPart, report_context
from reports.export.session import Document, Progress, SessionExport
from reports.export.session_report.calls import n_parts
from reports.export.zip_stream import ZipStream

# The parts of a report in a bundle. Those of longer sessions have addresses of their own.
MAX_PARTS = 10

README = """\
This is the session {session!r}, as AgentLedger recorded it.

export.json   the session, its calls, and the evidence that they are what was recorded
report.html   the report to be read, also as PDF; long sessions have several parts
verify.py     verifies this bundle: python verify.py BUNDLE.zip --key "$(cat known-key)"
log.vkey      the log's key; trust it only if you know it from elsewhere
checkpoint    the log's size and root at the time, signed (c2sp.org/tlog-checkpoint)
calls/        the record of each call that the log holds (.leaf), and the proof of that
              (.tlog-proof, c2sp.org/tlog-proof), for other people's programs
verify.py needs Python 3.11 or later, nothing else, and no network.
What is proven, and what is not: docs/evidence.md of AgentLedger.
"""


def verifier() -> bytes:
    """Returns the program that verifies exports."""
    return Path(str(verify.__file__)).read_bytes()


def bundle(
    export: SessionExport, exported_at: datetime, progress: Progress | None = None
) -> Iterator[Piece]:
    """Yields the pieces of the ZIP. Raises CannotExport before the first one."""
    document = Document(export)
    checkpoint = document.evidence.checkpoint
    archive = ZipStream(checkpoint.at)
    try:
        texts = {
            "README.txt": README.format(session=export.name).encode(errors="replace"),
            "verify.py": verifier(),
            "log.vkey": f"{document.evidence.verifier_key.text()}\n".encode(),
            "checkpoint": checkpoint.note.encode(),
        }
        for name, data in texts.items():
            yield from archive.file(name, [data])
        yield from archive.file("export.json", document.pieces(exported_at, progress))
        for name, data in _reports(export, checkpoint.size):
            yield from archive.file(name, [data])
        for call in document.calls_evidence:
            if call["index"] is not None:
                yield from _call_files(archive, call, checkpoint.note)
        yield from archive.end()
    finally:
        document.close()
        archive.close()


def _reports(export: SessionExport, checkpoint_size: int) -> Iterator[tuple[str, bytes]]:
    """Yields the session's report as HTML and, where it can be set, as PDF, in its parts."""
    session = export.session
    parts = range(1, min(n_parts(session), MAX_PARTS) + 1)
    for part in parts:
        try:
            context = report_context(session, part, checkpoint_size)
        except NoSuchPart:  # calls were deleted meanwhile
            return
        name = "report" if len(parts) == 1 else f"report-{part}"
        yield f"{name}.html", render_report("report/session.html", context).encode()
        with suppress(PdfUnavailable):
            yield f"{name}.pdf", report_pdf(context, None, paper="a4")


def _call_files(archive: ZipStream, call: dict[str, Any], note: str) -> Iterator[bytes]:
    yield from archive.file(f"calls/{call['action_id']}.leaf", [str(call["leaf"]).encode()])
    hashes = "".join(f"{one}\n" for one in call["proof"])
    proof = f"{PROOF_HEADER}\nindex {call['index']}\n{hashes}\n{note}"
    yield from archive.file(f"calls/{call['action_id']}.tlog-proof", [proof.encode()])
