"""Packs texts for the ledger: long ones are compressed, references keep their offsets."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import NamedTuple

import msgspec
import zstandard

from capture.wire.binaries.references import Mark, Reference, StoredText

# Below this, compression saves less than a database page.
COMPRESS_FROM = 256

_compress = zstandard.ZstdCompressor(level=3).compress
_decompress = zstandard.ZstdDecompressor().decompress
_with_references = msgspec.msgpack.Decoder(tuple[bytes, list[Reference]]).decode
_with_marks = msgspec.msgpack.Decoder(tuple[bytes, list[Mark]]).decode


class Encoding(IntFlag):
    PLAIN = 0
    ZSTD = 1
    REFERRING = 2  # a msgpack array of the text and its references
    DECODED = 4  # the text came with a content-encoding, and is stored without it
    MARKED = 8  # a msgpack array of the frame and what it has of the parts


# Testing or setting a flag of an enum takes a microsecond.
_ZSTD, _REFERRING, _DECODED, _MARKED = (
    int(flag) for flag in (Encoding.ZSTD, Encoding.REFERRING, Encoding.DECODED, Encoding.MARKED)
)


class Packed(NamedTuple):
    data: bytes
    encoding: int


def pack_text(
    data: bytes,
    references: Sequence[Reference] = (),
    *,
    is_decoded: bool = False,
    marks: Sequence[Mark] = (),
) -> Packed:
    encoding = _DECODED if is_decoded else 0
    if marks:
        data = msgspec.msgpack.encode((data, marks))
        encoding |= _MARKED
    if references:
        data = msgspec.msgpack.encode((data, references))
        encoding |= _REFERRING
    if len(data) >= COMPRESS_FROM:
        compressed = _compress(data)
        if len(compressed) < len(data) * 0.9:
            return Packed(compressed, encoding | _ZSTD)
    return Packed(data, encoding)


def unpack_text(data: bytes | memoryview, encoding: int) -> StoredText:
    plain = _decompress(data) if encoding & _ZSTD else bytes(data)
    text, references = _with_references(plain) if encoding & _REFERRING else (plain, ())
    text, marks = _with_marks(text) if encoding & _MARKED else (text, ())
    return StoredText(text, references, bool(encoding & _DECODED), marks)
