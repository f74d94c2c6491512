"""The export of a session as JSON. It is written while it is read: memory does not grow with the
session, and no transaction stays open.

What stands at the end of the document is made with the calls, and waits in a temporary file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.db.models import Subquery

from capture.models import Ledger, Session
from reports.chunks import CHUNK, Piece
from reports.export.calls import CanonicalCalls
from reports.json_encoding import encode
from reports.output.call_json import session_json
from reports.queries.records import Record, calls_of, read_pages

FORMAT = "agentledger-export/1"
IN_MEMORY = 4 * 1024 * 1024

Progress = Callable[[int], None]
"""Is told of the number of calls that were written."""


@dataclass(frozen=True)
class SessionExport:
    """A session as it is at one moment: later calls are no part of its export."""

    session: Session
    last_seq: int

    @property
    def name(self) -> str:
        return self.session.session_id


def find_export(session_id: str) -> SessionExport | None:
    """Returns None for an unknown session."""
    if "\0" in session_id:  # PostgreSQL cannot compare it, and no header can hold it
        return None
    # One statement sees the session's totals and the ledger's last call at one moment.
    last_seq = Subquery(Ledger.objects.filter(pk=1).values("last_seq"))
    found = Session.objects.not_deleted().filter(session_id=session_id)
    session: Any = found.annotate(last_seq=last_seq).first()
    return SessionExport(session, session.last_seq) if session else None


def json_document(
    export: SessionExport, exported_at: datetime, progress: Progress | None = None
) -> Iterator[Piece]:
    """Yields the pieces of the document."""
    head = {
        "format": FORMAT,
        "generator": f"AgentLedger {settings.VERSION}",
        "exported_at": exported_at,
        "session": session_json(export.session),
    }
    yield encode(head)[:-1] + b',"calls":['
    with ExitStack() as stack:
        coerced: IO[bytes] = stack.enter_context(SpooledTemporaryFile(IN_MEMORY))
        digest = hashlib.sha256(b"[")
        calls = CanonicalCalls()
        n_calls = 0
        for page in _pages(export):
            for record in page:
                call = calls.make(record)
                if n_calls:
                    digest.update(b",")
                    yield b","
                for piece in call.pieces:
                    digest.update(piece)
                    yield piece
                for pointer in call.coerced:
                    pointer = json.dumps(f"/calls/{n_calls}{pointer}", ensure_ascii=False)
                    coerced.write((b"," if coerced.tell() else b"") + pointer.encode())
                n_calls += 1
            if progress is not None:
                progress(n_calls)
        digest.update(b"]")
        yield b'],"coerced":['
        yield from _copy(coerced)
        yield b'],"sha256":"%s"' % digest.hexdigest().encode()
    yield b"}\n"


def json_lines(
    export: SessionExport, exported_at: datetime, progress: Progress | None = None
) -> Iterator[Piece]:
    """Yields the pieces of the calls alone, one on each line."""
    calls = CanonicalCalls()
    n_calls = 0
    for page in _pages(export):
        for record in page:
            yield from calls.make(record).pieces
            yield b"\n"
        n_calls += len(page)
        if progress is not None:
            progress(n_calls)


def _pages(export: SessionExport) -> Iterator[list[Record]]:
    return read_pages(calls_of(export.session).filter(seq__lte=export.last_seq))


def _copy(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(CHUNK):
        yield piece
