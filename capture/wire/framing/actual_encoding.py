"""Decodes the content-encodings that a body really has. Relays take the header away and leave the
body compressed, decompress the body and leave the header, or compress it once more."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import brotli  # type: ignore[import-untyped]  # it has no types

from capture.wire.framing.content_encoding import (
    MOST_CODINGS,
    DecodedBody,
    Received,
    Undecodable,
    codings_of,
    decode,
    iter_decode,
)

_HEAD = 64
_MOST_EMPTY = 1_000
_TRIED = 4 * 2**10
_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes((0x78, level)), "deflate") for level in (0x01, 0x5E, 0x9C, 0xDA)),
)
_NAMES = frozenset(("gzip", "x-gzip", "deflate", "br", "zstd"))
_no_text = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def decode_actual(pieces: list[bytes], declared: str | None, limit: int) -> DecodedBody | None:
    """Decodes a body by the codings that it really has, each within `limit`; None: it has none."""
    codings = codings_of(declared)
    name = _actual_coding(pieces, codings, is_outermost=True)
    decoded, n_decoded = None, 0
    while name is not None and n_decoded < MOST_CODINGS:
        outer, decoded = decoded, decode(pieces, name, limit)
        n_decoded += 1
        if outer is not None:
            decoded.note = "; ".join(filter(None, (outer.note, decoded.note))) or None
            decoded.is_over |= outer.is_over
        name = _actual_coding([decoded.body[:_TRIED]], codings, is_outermost=False)
        if name is not None:
            pieces = _in_pieces(decoded)
    return decoded


def actual_content(body: bytes, declared: str | None, limit: int) -> bytes:
    """Returns a body without the codings that it really has, up to `limit`."""
    decoded = decode_actual([body], declared, limit)
    return body if decoded is None else decoded.body


def iter_decode_actual(pieces: Iterable[bytes], declared: str | None) -> Iterator[bytes]:
    """Yields what `decode_actual` returns, as `iter_decode` does."""
    codings, received = codings_of(declared), Received(pieces)
    decoded, n_decoded = iter(received), 0
    while True:
        beginning = list(_take_head(decoded))
        name = _actual_coding(beginning, codings, is_outermost=n_decoded == 0)
        decoded = chain(beginning, decoded)
        if name is None:
            break
        n_decoded += 1
        if n_decoded > MOST_CODINGS:
            raise Undecodable(f"more than {MOST_CODINGS} content-encodings")
        decoded = iter_decode(decoded, name, received)
    yield from decoded


def is_encoded(body: bytes, declared: str | None) -> bool:
    return _actual_coding([body], codings_of(declared), is_outermost=True) is not None


def _actual_coding(
    pieces: Iterable[bytes], declared: list[str], *, is_outermost: bool
) -> str | None:
    """Returns the outermost coding that a body has, and takes it off those that are declared: the
    one of the header unless the first bytes show another one, or that it has none. Within another
    coding, only what has a signature is taken for one that was not declared."""
    name = declared.pop() if declared else ""
    head = _head_of(pieces)
    if not head or (not name and head.startswith((b"{", b"data:", b"event:"))):
        return name or None
    if name and name not in _NAMES:
        return name
    if _is_text(head[:_HEAD]):
        return None
    shown = next((coding for magic, coding in _MAGIC if head.startswith(magic)), None)
    if shown is None and (name or is_outermost):
        # These have no signature: what they make of the data shows them, the declared one first.
        tries = sorted(_WITHOUT_SIGNATURE, key=lambda one: one != name)
        shown = next((one for one in tries if _is_text(_WITHOUT_SIGNATURE[one](head))), None)
    return shown or name or None


def _in_pieces(decoded: DecodedBody) -> list[bytes]:
    ends = decoded.piece_ends
    return [decoded.body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _take_head(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields what is needed to see a coding. What makes nothing for long has none."""
    n_bytes = 0
    for piece in islice(pieces, _MOST_EMPTY):
        yield piece
        n_bytes += len(piece)
        if n_bytes >= _HEAD:
            return


def _head_of(pieces: Iterable[bytes]) -> bytes:
    head = b""
    for piece in pieces:
        head += piece[:_TRIED]
        if len(head) >= _HEAD:
            break
    return head


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character may be cut in two there
            return False
    return len(head) > 1 and _no_text.search(head) is None


def _try_brotli(head: bytes) -> bytes:
    try:
        return bytes(brotli.Decompressor().process(head, output_buffer_limit=_HEAD)[:_HEAD])
    except brotli.error:
        return b""


def _try_deflate(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, _HEAD)
    except zlib.error:
        return b""


_WITHOUT_SIGNATURE = {"br": _try_brotli, "deflate": _try_deflate}
