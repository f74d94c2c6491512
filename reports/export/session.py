"""The export of a session as JSON. It is written while it is read: memory does not grow with the
session, and no transaction stays open.

What stands at the end of the document is made with the calls, and waits in a temporary file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import orjson
from django.conf import settings
from django.db.models import Subquery

from capture.models import Ledger, Session
from reports.chunks import CHUNK, Piece
from reports.export.calls import CanonicalCalls
from reports.export.canonical import canonical
from reports.export.evidence import Evidence, check_covers, choose_checkpoint
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
    log_size: int
    checkpoint_size: int | None = None  # None: one that covers it

    @property
    def name(self) -> str:
        return self.session.session_id

    def evidence(self) -> Evidence:
        """Raises CannotExport."""
        checkpoint = choose_checkpoint(self.log_size, self.checkpoint_size)
        if self.checkpoint_size is not None:
            check_covers(checkpoint, self.session, self.last_seq)
        return Evidence(self.session, checkpoint)

    def pages(self) -> Iterator[list[Record]]:
        return read_pages(calls_of(self.session).filter(seq__lte=self.last_seq))


def find_export(session_id: str, checkpoint_size: int | None = None) -> SessionExport | None:
    """Returns None for an unknown session."""
    if "\0" in session_id:  # PostgreSQL cannot compare it, and no header can hold it
        return None
    # One statement sees the session's totals and the ledger's last call at one moment.
    ledger = Ledger.objects.filter(pk=1)
    found = Session.objects.not_deleted().filter(session_id=session_id)
    session: Any = found.annotate(
        last_seq=Subquery(ledger.values("last_seq")), log_size=Subquery(ledger.values("log_size"))
    ).first()
    if session is None:
        return None
    return SessionExport(session, session.last_seq, session.log_size, checkpoint_size)


class ListDigest:
    """The SHA-256 of a list as canonical JSON, made element by element."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256(b"[")
        self.n_elements = 0

    def add(self, pieces: Sequence[Piece]) -> None:
        if self.n_elements:
            self._sha256.update(b",")
        for piece in pieces:
            self._sha256.update(piece)
        self.n_elements += 1

    def hexdigest(self) -> str:
        whole = self._sha256.copy()
        whole.update(b"]")
        return whole.hexdigest()


class Later:
    """What stands at the end of the document, as a JSON list; it waits in a temporary file."""

    def __init__(self) -> None:
        self._file: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (see `close`)
        self.digest = ListDigest()

    def add(self, value: Any) -> None:
        encoded = encode(value)
        self.digest.add([encoded])
        self._file.write(b",\n" if self._file.tell() else b"\n")
        self._file.write(encoded)

    def __iter__(self) -> Iterator[Any]:
        """Yields the values that were added."""
        self._file.seek(0)
        for line in self._file:
            if line != b"\n":
                yield orjson.loads(line.rstrip(b",\n"))

    def pieces(self) -> Iterator[Piece]:
        yield b"["
        self._file.seek(0)
        while piece := self._file.read(CHUNK):
            yield piece
        yield b"]"

    def close(self) -> None:
        self._file.close()


class Document:
    """The document of a session's export, which is made once."""

    def __init__(self, export: SessionExport) -> None:
        """Raises CannotExport."""
        self.export = export
        self.evidence = export.evidence()
        self.calls_evidence = Later()
        self._entries, self._coerced = Later(), Later()
        self._digest = ListDigest()

    def close(self) -> None:
        for later in (self.calls_evidence, self._entries, self._coerced):
            later.close()

    def pieces(self, exported_at: datetime, progress: Progress | None = None) -> Iterator[Piece]:
        session = canonical(orjson.loads(encode(session_json(self.export.session)))).json
        head = {
            "format": FORMAT,
            "generator": f"AgentLedger {settings.VERSION}",
            "exported_at": exported_at,
            "session": orjson.Fragment(session),
        }
        yield encode(head)[:-1] + b',"calls":['
        yield from self._calls(progress)
        yield b'\n],"coerced":'
        yield from self._coerced.pieces()
        sha256 = self._digest.hexdigest()
        statement = self.evidence.statement(
            session, self._digest.n_elements, sha256, self._coerced.digest.hexdigest()
        )
        evidence = {**self.evidence.head(), "statement": statement}
        yield b',"sha256":"%s","evidence":' % sha256.encode()
        yield encode(evidence)[:-1] + b',"calls":'
        yield from self.calls_evidence.pieces()
        for deletion in self.evidence.deletions():
            self._entries.add(deletion)
        yield b',"entries":'
        yield from self._entries.pieces()
        yield b"}}\n"

    def _calls(self, progress: Progress | None) -> Iterator[Piece]:
        calls = CanonicalCalls()
        for page in self.export.pages():
            for entry in self.evidence.rewind(page):
                self._entries.add(self.evidence.entry(entry))
            for record in page:
                call, number = calls.make(record), self._digest.n_elements
                self._digest.add(call.pieces)
                yield b",\n" if number else b"\n"
                yield from call.pieces
                for pointer in call.coerced:
                    self._coerced.add(f"/calls/{number}{pointer}")
                self.calls_evidence.add(self.evidence.call(record))
            if progress is not None:
                progress(self._digest.n_elements)


def json_document(
    export: SessionExport, exported_at: datetime, progress: Progress | None = None
) -> Iterator[Piece]:
    """Yields the pieces of the document. Raises CannotExport before the first one."""
    document = Document(export)
    try:
        yield from document.pieces(exported_at, progress)
    finally:
        document.close()


def json_lines(
    export: SessionExport, exported_at: datetime, progress: Progress | None = None
) -> Iterator[Piece]:
    """Yields the pieces of the calls alone, one on each line."""
    calls = CanonicalCalls()
    n_calls = 0
    for page in export.pages():
        for record in page:
            yield from calls.make(record).pieces
            yield b"\n"
        n_calls += len(page)
        if progress is not None:
            progress(n_calls)
