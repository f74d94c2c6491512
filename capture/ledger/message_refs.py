"""Packs the references of a call to its messages, which are ids of rows: about a byte a message."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate


def pack_refs(refs: Iterable[int]) -> bytes:
    """Packs each as its distance from the one before, in 7-bit groups: in a growing history most
    ids follow one another, so that each takes about a byte."""
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


# A distance of several bytes. Between these are runs of one-byte distances, each read at once.
_LONG = re.compile(rb"([\x80-\xff]+[\x00-\x7f])")
_SHORT = [zigzag >> 1 if not zigzag & 1 else -((zigzag + 1) >> 1) for zigzag in range(0x80)]


def unpack_refs(data: bytes | memoryview, last: int = 0) -> list[int]:
    """`last` is the reference before the first one."""
    refs: list[int] = []
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


class RefUnpacker:
    """Unpacks the references of calls in time order. Most of them are shared with the call before,
    perhaps without its first ones: a history of 200 takes 3 µs instead of 9."""

    def __init__(self) -> None:
        self._data, self._refs = b"", list[int]()

    def unpack(self, data: bytes | memoryview) -> tuple[list[int], list[int]]:
        """Returns all references, and those that differ from the call before."""
        data = bytes(data)
        shared, rest = self._split_shared(data)
        new = unpack_refs(rest, shared[-1] if shared else 0)
        self._data, self._refs = data, shared + new
        return self._refs, new

    def _split_shared(self, data: bytes) -> tuple[list[int], bytes]:
        begin = _end_of(data, 1)
        first = _long(data[:begin])
        if first not in self._refs:
            return [], data
        place = self._refs.index(first)
        before, behind = self._data[_end_of(self._data, place + 1) :], data[begin:]
        n_bytes = _n_common(before, behind)
        while n_bytes and behind[n_bytes - 1] & 0x80:  # within a distance
            n_bytes -= 1
        n_refs = len(behind[:n_bytes].translate(None, _CONTINUED))
        return self._refs[place : place + 1 + n_refs], behind[n_bytes:]


_CONTINUED = bytes(range(0x80, 0x100))


def _end_of(data: bytes, n_refs: int) -> int:
    place = 0
    for _ in range(n_refs):
        while data[place : place + 1] >= b"\x80":
            place += 1
        place += 1
    return place


def _n_common(one: bytes, other: bytes) -> int:
    """Returns the length of the common beginning."""
    n = min(len(one), len(other))
    differing = int.from_bytes(one[:n]) ^ int.from_bytes(other[:n])
    return n - (differing.bit_length() + 7) // 8
