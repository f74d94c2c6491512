"""Bytes in chunks of about half a megabyte: each costs a change of threads and a system call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CHUNK = 512 * 1024

Piece = bytes | memoryview


def in_chunks(pieces: Iterable[Piece]) -> Iterator[bytes]:
    waiting: list[Piece] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
