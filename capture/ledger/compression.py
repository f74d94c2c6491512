"""Packs texts for the ledger: long ones are compressed, references in them keep their places."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import NamedTuple

import msgspec
import zstandard

from capture.wire.binaries.references import Place, StoredText

# Below this, compression saves less than a database page.
COMPRESS_FROM = 256

_compress = zstandard.ZstdCompressor(level=3).compress
_decompress = zstandard.ZstdDecompressor().decompress
_with_places = msgspec.msgpack.Decoder(tuple[bytes, list[Place]]).decode


class Encoding(IntFlag):
    PLAIN = 0
    ZSTD = 1
    REFERRING = 2  # a msgpack array of the text and the places of its references
    DECODED = 4  # the text came in a content-encoding, and lies here without it


# Flags of an enum take a microsecond each to be tested.
_ZSTD, _REFERRING, _DECODED = (
    int(flag) for flag in (Encoding.ZSTD, Encoding.REFERRING, Encoding.DECODED)
)


class Packed(NamedTuple):
    data: bytes
    encoding: Encoding


def pack_text(data: bytes, places: Sequence[Place] = (), *, is_decoded: bool = False) -> Packed:
    encoding = Encoding.DECODED if is_decoded else Encoding.PLAIN
    if places:
        data = msgspec.msgpack.encode((data, places))
        encoding |= Encoding.REFERRING
    if len(data) >= COMPRESS_FROM:
        compressed = _compress(data)
        if len(compressed) < len(data) * 0.9:
            return Packed(compressed, encoding | Encoding.ZSTD)
    return Packed(data, encoding)


def unpack_text(data: bytes | memoryview, encoding: int) -> StoredText:
    plain = _decompress(data) if encoding & _ZSTD else bytes(data)
    text, places = _with_places(plain) if encoding & _REFERRING else (plain, ())
    return StoredText(text, places, bool(encoding & _DECODED))
