"""Finds the content-encoding that a body really has. Relays take the header away and leave the body
compressed, or decompress the body and leave the header."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

import brotli  # type: ignore[import-untyped]  # it has no types

_HEAD = 64
_TRIED = 4 * 2**10
_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes((0x78, level)), "deflate") for level in (0x01, 0x5E, 0x9C, 0xDA)),
)
_NAMES = frozenset(("gzip", "x-gzip", "deflate", "br", "zstd"))
_no_text = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def actual_encoding(pieces: Iterable[bytes], declared: str | None) -> str | None:
    """Returns the encoding of a body: `declared` unless its first bytes show another one, or that
    it has none."""
    head = _head_of(pieces)
    if not head or (not declared and head.startswith((b"{", b"data:", b"event:"))):
        return declared
    last = (declared or "").rpartition(",")[2].strip().lower()
    if last not in _NAMES and last not in ("", "identity"):
        return declared
    if _is_text(head[:_HEAD]):
        return None
    shown = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if shown:
        return declared if shown == last.removeprefix("x-") else shown
    if last in ("br", "deflate"):  # their data begin with any byte
        return declared
    if _is_text(_try_brotli(head)):
        return "br"
    return "deflate" if _is_text(_try_deflate(head)) else declared


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
