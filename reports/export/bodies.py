"""The exact bytes of requests and responses as pieces, so that a growing history is in an export
once."""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from weakref import WeakKeyDictionary

from capture.models import Binary
from capture.wire.binaries.references import StoredText, restore_text
from capture.wire.shared.slices import split_frame
from reports.queries.records import Record, RequestPart

Piece = str | dict[str, str] | int
"""Text; `{"base64": …}` of what is not UTF-8; or the number of a piece that came before."""

# Characters from which on a piece that is written out has a number.
SHORTEST = 64
# Texts between messages whose numbers are remembered. One that was forgotten is written out again.
MAX_GAPS, MAX_GAP = 200, 64 * 1024


class Pieces:
    """The pieces of an export. Parts are remembered while the page's calls refer to them."""

    def __init__(self) -> None:
        self._n_numbered = 0
        self._parts: WeakKeyDictionary[RequestPart, int] = WeakKeyDictionary()
        self._gaps: OrderedDict[bytes, int] = OrderedDict()

    def request(self, record: Record) -> list[Piece] | None:
        """Returns None where the ledger does not have all bytes of the body."""
        frame = record.frame()
        if frame is None or frame.is_decoded:
            return None
        binaries = _bytes_of(record)
        if record.row["frame_is_whole"]:
            whole = _restore(frame, binaries)
            return None if whole is None else [self._new(whole)[0]]
        parts = record.parts_as_sent
        restored = [_restore(part.text, binaries) for part in parts]
        texts = [text for text in restored if text is not None]
        if len(texts) < len(parts):
            return None
        first, *gaps = split_frame(frame.data, len(parts))
        pieces = [self._gap(first)]
        for part, text, gap in zip(parts, texts, gaps, strict=True):
            pieces += (self._part(part, text), self._gap(gap))
        return pieces

    def response(self, record: Record) -> Piece | None:
        """Returns None where the ledger does not have all bytes of the body."""
        response = record.response()
        is_erased = not record.row["response_sha256"]
        data = None if is_erased or response.is_decoded else _restore(response, _bytes_of(record))
        return None if data is None else self._new(data)[0]

    def _part(self, part: RequestPart, text: bytes) -> Piece:
        known = self._parts.get(part)
        if known is not None:
            return known
        piece, number = self._new(text)
        if number is not None:
            self._parts[part] = number
        return piece

    def _gap(self, gap: bytes) -> Piece:
        if gap in self._gaps:
            self._gaps.move_to_end(gap)
            return self._gaps[gap]
        piece, number = self._new(gap)
        if number is not None and len(gap) <= MAX_GAP:
            self._gaps[gap] = number
            if len(self._gaps) > MAX_GAPS:
                self._gaps.popitem(last=False)
        return piece

    def _new(self, data: bytes) -> tuple[Piece, int | None]:
        """Returns a piece that is written out, and its number if it has one."""
        try:
            text = data.decode()
            piece: Piece = text
        except UnicodeDecodeError:
            text = b64encode(data).decode()
            piece = {"base64": text}
        if len(text) < SHORTEST:
            return piece, None
        self._n_numbered += 1
        return piece, self._n_numbered - 1


def _restore(text: StoredText, binaries: dict[bytes, bytes]) -> bytes | None:
    return restore_text(text.data, text.references, binaries.get) if text.references else text.data


def _bytes_of(record: Record) -> dict[bytes, bytes]:
    kept = [binary.pk for binary in record.binaries if getattr(binary, "is_kept", False)]
    if not kept:
        return {}
    rows = Binary.objects.filter(pk__in=kept).values_list("digest", "data")
    return {bytes(digest): bytes(data) for digest, data in rows if data is not None}
