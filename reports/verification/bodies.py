"""The bodies of calls as they were sent, from what is stored of them, which may be damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from capture.ledger.bulk_sql import table_name
from capture.ledger.compression import unpack_text
from capture.ledger.message_refs import unpack_refs
from capture.models import Binary, Message
from capture.parsing.marks import insert_marks
from capture.parsing.parsed_call import part_digest
from capture.wire.binaries.references import Reference, StoredText, restore_text
from capture.wire.shared.slices import join_parts
from reports.queries.bulk_read import fetch_rows

_PART = {name: (Message, name) for name in ("id", "kind", "digest", "data", "encoding")}


class DamagedBody(Exception):
    """A body cannot be restored from what is stored: one sentence says why."""


class NotKept(Exception):
    """The ledger was never to keep these bytes."""


class StoredParts:
    """The parts of requests. Those that the calls before had too are not read again."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, StoredText] = {}

    def read(self, refs: Iterable[int]) -> None:
        """Reads these, and forgets all others."""
        wanted = set(refs)
        self._rows = {ref: row for ref, row in self._rows.items() if ref in wanted}
        self._texts = {ref: text for ref, text in self._texts.items() if ref in wanted}
        missing = sorted(wanted - self._rows.keys())
        for row in fetch_rows(table_name(Message), _PART, (Message, "id"), missing):
            self._rows[row["id"]] = row

    def text(self, ref: int) -> StoredText:
        """Raises DamagedBody."""
        text = self._texts.get(ref)
        if text is None:
            row = self._rows.get(ref)
            if row is None:
                raise DamagedBody("a message of its request is missing")
            text = self._texts[ref] = _unpack(row["data"], row["encoding"], "a message")
        return text

    def verify_digest(self, ref: int) -> None:
        """Raises DamagedBody if a part is not the one that was stored. What else is derived of a
        request has no such digest."""
        text, row = self.text(ref), self._rows[ref]
        digest = part_digest(row["kind"], text.data)
        if not text.references and bytes(row["digest"]) != digest:
            raise DamagedBody(f"its {row['kind']} is not the one that was stored")


def _unpack(data: Any, encoding: int, what: str) -> StoredText:
    try:
        return unpack_text(data, encoding)
    except Exception as error:  # whatever decompressors and decoders say of damaged data
        raise DamagedBody(f"{what} cannot be read: {error}") from None


def refs_of(row: Mapping[str, Any]) -> list[int]:
    """Returns the parts of a call's request."""
    return unpack_refs(row["part_refs"] or b"")


def request_bytes(row: Mapping[str, Any], parts: StoredParts) -> bytes:
    """Returns the body of a call's request. Raises DamagedBody, and NotKept where it came
    compressed, which need not be repeatable."""
    if row["frame"] is None:
        raise NotKept
    frame = _unpack(row["frame"], row["frame_encoding"], "the frame of its request")
    if frame.is_decoded:
        raise NotKept
    if row["frame_is_whole"]:
        return _restore(row, frame)
    try:
        texts = insert_marks([parts.text(ref) for ref in refs_of(row)], frame.marks)
        return join_parts(frame.data, [_restore(row, text) for text in texts])
    except (IndexError, ValueError, TypeError) as error:
        raise DamagedBody(f"its request cannot be put together: {error}") from None


def response_bytes(row: Mapping[str, Any]) -> bytes:
    """Returns the body of a call's response. Raises DamagedBody, and NotKept as
    for requests."""
    text = _unpack(row["response"], row["response_encoding"], "its response")
    if text.is_decoded:
        raise NotKept
    return _restore(row, text)


def _restore(row: Mapping[str, Any], text: StoredText) -> bytes:
    if not text.references:
        return text.data
    restored = restore_text(text.data, text.references, _binaries(row, text.references).get)
    if restored is None:
        raise DamagedBody("a reference to a binary is damaged")
    return restored


def _binaries(row: Mapping[str, Any], references: Iterable[Reference]) -> dict[bytes, bytes]:
    digests = {reference.digest for reference in references}
    found = Binary.objects.filter(scope=row["scope"], digest__in=digests)
    stored = {bytes(digest): data for digest, data in found.values_list("digest", "data")}
    if stored.keys() != digests:
        raise DamagedBody("a binary is missing")
    kept = {digest: bytes(data) for digest, data in stored.items() if data is not None}
    if len(kept) < len(stored):
        raise NotKept
    return kept


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
