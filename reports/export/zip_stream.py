"""A ZIP that is written while it is sent: no file is held in memory, nor is the list of them.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT: sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO

from reports.chunks import CHUNK, Piece

IN_MEMORY = 4 * 1024 * 1024
LEVEL = 3  # a third slower than 1, and a third smaller, for histories that repeat

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_SIZES_64 = struct.Struct("<2H2Q")
_SIZES_AND_OFFSET_64 = struct.Struct("<2H3Q")
_DESCRIPTOR_64 = struct.Struct("<4sL2Q")

_VERSION = 45  # the first with sizes of 64 bits
_FLAGS = 0x0808  # the sizes follow the data; names are UTF-8
_DEFLATED = 8
_REGULAR_FILE = 0o100644 << 16
_IN_64_BITS = 0xFFFFFFFF


class ZipStream:
    def __init__(self, at: datetime) -> None:
        """`at` is the time of all files."""
        at = at.astimezone(UTC)
        year = min(max(at.year, 1980), 2107) - 1980
        self._date = year << 9 | at.month << 5 | at.day
        self._time = at.hour << 11 | at.minute << 5 | at.second // 2
        self._directory: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (see `close`)
        self._offset = 0
        self._n_files = 0

    def close(self) -> None:
        self._directory.close()

    def file(self, name: str, pieces: Iterable[Piece]) -> Iterator[bytes]:
        """Yields the bytes of a file."""
        encoded = name.encode()
        offset, crc, size, packed_size = self._offset, 0, 0, 0
        extra = _SIZES_64.pack(1, 16, 0, 0)
        stamp = (_VERSION, _FLAGS, _DEFLATED, self._time, self._date)
        lengths = (_IN_64_BITS, _IN_64_BITS, len(encoded), len(extra))
        yield self._sent(_LOCAL.pack(b"PK\3\4", *stamp, 0, *lengths) + encoded + extra)
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            packed = packer.compress(piece)
            packed_size += len(packed)
            yield self._sent(packed)
        packed = packer.flush()
        packed_size += len(packed)
        yield self._sent(packed + _DESCRIPTOR_64.pack(b"PK\7\x08", crc, packed_size, size))
        extra = _SIZES_AND_OFFSET_64.pack(1, 24, size, packed_size, offset)
        lengths = (_IN_64_BITS, _IN_64_BITS, len(encoded), len(extra))
        entry = _CENTRAL.pack(
            *(b"PK\1\2", 3 << 8 | _VERSION, *stamp, crc, *lengths),
            *(0, 0, 0, _REGULAR_FILE, _IN_64_BITS),
        )
        self._directory.write(entry + encoded + extra)
        self._n_files += 1

    def end(self) -> Iterator[bytes]:
        """Yields the list of the files."""
        begin, size, n = self._offset, self._directory.tell(), self._n_files
        self._directory.seek(0)
        while piece := self._directory.read(CHUNK):
            yield self._sent(piece)
        end = self._offset
        yield _END_64.pack(b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, n, n, size, begin)
        yield _LOCATOR.pack(b"PK\6\7", 0, end, 1)
        yield _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _IN_64_BITS, _IN_64_BITS, 0)

    def _sent(self, data: bytes) -> bytes:
        self._offset += len(data)
        return data
