"""A folder of files with many calls, to which each run adds what it lacks."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import orjson
import zstandard

from reports.chunks import Piece, in_chunks
from reports.export.files import whole_file
from reports.export.many import CallLine

FORMAT = "agentledger-calls/1"
HEAD = "export.json"
MAX_CALLS, MAX_BYTES = 10_000, 256 * 1024 * 1024
SUFFIXES = {None: "", "gzip": ".gz", "zstd": ".zst"}

_name = re.compile(r"calls-[0-9]{12,}-([0-9]{12,})\.jsonl(?:\.gz|\.zst)?").fullmatch


class OtherExport(Exception):
    """The folder has something else: one sentence says what."""


class ExportFolder:
    """Each file is complete, and named by the first and the last `seq` in it."""

    def __init__(self, path: Path, filters: dict[str, str], compression: str | None) -> None:
        """Makes the folder if need be. Raises OtherExport, OSError."""
        self._path = path
        self._compression = compression
        path.mkdir(parents=True, exist_ok=True)
        head = {"format": FORMAT, "filters": filters}
        if not (path / HEAD).exists():
            if any(path.iterdir()):
                raise OtherExport(f"{path} is not empty, and no export")
            with whole_file(path / HEAD) as file:
                file.write(orjson.dumps(head, option=orjson.OPT_SORT_KEYS) + b"\n")
        elif _read_head(path / HEAD) != head:
            raise OtherExport(f"{path} has an export with other filters")

    def cursor(self) -> int:
        """Returns the `seq` of the last call in it, or 0."""
        names = (_name(path.name) for path in self._path.iterdir())
        return max((int(name[1]) for name in names if name), default=0)

    def write(self, lines: Iterable[CallLine], progress: Callable[[int], None]) -> int:
        """Adds these calls. Returns their number."""
        n_calls = 0
        waiting = iter(lines)
        for first in waiting:
            temporary = self._path / "calls.jsonl"
            with whole_file(temporary) as file, self._compressed(file) as packed:
                some = _File(first, waiting)
                for chunk in in_chunks(some.pieces()):
                    packed.write(chunk)
                    progress(n_calls + some.n_calls)
            n_calls += some.n_calls
            suffix = SUFFIXES[self._compression]
            name = f"calls-{first.seq:012}-{some.last_seq:012}.jsonl{suffix}"
            temporary.replace(self._path / name)
        return n_calls

    @contextmanager
    def _compressed(self, file: BinaryIO) -> Iterator[BinaryIO | zstandard.ZstdCompressionWriter]:
        if self._compression == "gzip":
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                yield packed  # type: ignore[misc]  # it has all that is written to
        elif self._compression == "zstd":
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as packed_zstd:
                yield packed_zstd
        else:
            yield file


class _File:
    """The lines of one file."""

    def __init__(self, first: CallLine, others: Iterator[CallLine]) -> None:
        self._lines = chain([first], others)
        self.last_seq = first.seq
        self.n_calls = 0

    def pieces(self) -> Iterator[Piece]:
        size = 0
        for line in self._lines:
            yield from line.pieces
            self.last_seq = line.seq
            self.n_calls += 1
            size += sum(map(len, line.pieces))
            if self.n_calls >= MAX_CALLS or size >= MAX_BYTES:
                return


def _read_head(path: Path) -> object:
    try:
        head: object = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return None
    return head
