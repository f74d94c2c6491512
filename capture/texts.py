"""How texts lie in the ledger: long ones compressed, binaries in them replaced by references,
references to messages packed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntFlag
from itertools import accumulate
from typing import NamedTuple

import msgspec
import zstandard

from capture.wire.references import Place

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


class Text(NamedTuple):
    data: bytes
    places: Sequence[Place] = ()
    is_decoded: bool = False


class Packed(NamedTuple):
    data: bytes
    encoding: Encoding


def packed(data: bytes, places: Sequence[Place] = (), *, is_decoded: bool = False) -> Packed:
    encoding = Encoding.DECODED if is_decoded else Encoding.PLAIN
    if places:
        data = msgspec.msgpack.encode((data, places))
        encoding |= Encoding.REFERRING
    if len(data) >= COMPRESS_FROM:
        compressed = _compress(data)
        if len(compressed) < len(data) * 0.9:
            return Packed(compressed, encoding | Encoding.ZSTD)
    return Packed(data, encoding)


def unpacked(data: bytes | memoryview, encoding: int) -> Text:
    plain = _decompress(data) if encoding & _ZSTD else bytes(data)
    text, places = _with_places(plain) if encoding & _REFERRING else (plain, ())
    return Text(text, places, bool(encoding & _DECODED))


def pack_refs(refs: Iterable[int]) -> bytes:
    """Each as its distance from the last, in 7-bit groups: a growing history, whose ids mostly
    follow one another, takes about a byte a message."""
    out = bytearray()
    last = 0
    for ref in refs:
        distance = ref - last
        last = ref
        zigzag = distance << 1 if distance >= 0 else (-distance << 1) - 1
        while zigzag > 0x7F:
            out.append(zigzag & 0x7F | 0x80)
            zigzag >>= 7
        out.append(zigzag)
    return bytes(out)


# A distance of several bytes; between these are runs of one byte each, which are read as one.
_LONG = re.compile(rb"([\x80-\xff]+[\x00-\x7f])")
_SHORT = [zigzag >> 1 if not zigzag & 1 else -((zigzag + 1) >> 1) for zigzag in range(0x80)]


def unpack_refs(data: bytes | memoryview) -> list[int]:
    refs: list[int] = []
    last = 0
    for index, piece in enumerate(_LONG.split(bytes(data))):
        distances = [_long(piece)] if index % 2 else map(_SHORT.__getitem__, piece)
        some = list(accumulate(distances, initial=last))
        last = some[-1]
        refs += some[1:]
    return refs


def _long(data: bytes) -> int:
    zigzag = 0
    for byte in reversed(data):
        zigzag = zigzag << 7 | byte & 0x7F
    return zigzag >> 1 if not zigzag & 1 else -((zigzag + 1) >> 1)
