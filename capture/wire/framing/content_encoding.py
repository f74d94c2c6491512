"""Decodes the content-encodings of a body that came in pieces, in bounds: as far as possible
(`decode`), or piece by piece for a reader that stops when it knows enough (`iter_decode`)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it has no types
import zstandard

from capture.wire.types import Unreadable

LIMIT_BYTES = 256 * 2**20
MOST_CODINGS = 4
"""The most content-encodings of one body that are decoded; servers send one."""

MOST_TIMES = 100
"""A body that is read piece by piece grows to so many times its size at most: text seldom grows to
more than 20 times, and a bomb to 1,000 times and more."""

ALWAYS_BYTES = 4 * 2**20
"""So many bytes are decoded piece by piece whatever they grew from."""

_STEP_BYTES = 64 * 2**10  # of output at once
_broken = (zlib.error, brotli.error, zstandard.ZstdError)


@dataclass(slots=True)
class DecodedBody:
    """A body, and its length after each of the pieces that brought it.

    `note` says why the body is not complete. `is_over`: it has more bytes than the limit.
    """

    body: bytes
    piece_ends: list[int]
    note: str | None = None
    is_over: bool = False


class _Decoder(Protocol):
    input_step: int

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields what can be read now, in bounded pieces. Bytes after the end of the data are
        ignored."""

    def is_finished(self) -> bool: ...


def decode(pieces: list[bytes], encoding: str | None, limit: int = LIMIT_BYTES) -> DecodedBody:
    """Decodes `pieces`. `encoding` is the content-encoding header: codings in the order in which
    they were applied.

    An unknown one leaves the bytes as they are. No coding yields more than `limit` bytes.
    """
    notes: list[str] = []
    is_over = False
    codings = codings_of(encoding)
    if len(codings) > MOST_CODINGS:
        notes.append(f"{len(codings)} content-encodings, not decoded")
        codings = []
    for name in reversed(codings):
        start = _starter(name, pieces)
        if start is None:
            notes.append(f"content-encoding {name[:40]!r} is unknown")
            break
        pieces, note, is_cut = _decode_one(pieces, start, limit)
        is_over |= is_cut
        if note:
            notes.append(f"content-encoding {name}: {note}")
    ends = list(accumulate(map(len, pieces)))
    return DecodedBody(b"".join(pieces), ends, "; ".join(notes) or None, is_over)


def codings_of(encoding: str | None) -> list[str]:
    """Returns the codings that the header names, in the order in which they were applied."""
    names = [name.strip().lower() for name in (encoding or "").split(",")]
    return [name for name in names if name not in ("", "identity")]


class Undecodable(Unreadable):
    """The rest of a body cannot be decoded, or not in bounds."""


def iter_decode(
    pieces: Iterable[bytes], encoding: str | None, received: Received | None = None
) -> Iterator[bytes]:
    """Yields a body decoded as far as its reader asks for it, mostly 64 KiB at a time.

    A piece may be empty, so that the reader can stop where much is read and nothing comes out.
    Raises Undecodable at a coding that is unknown, broken or cut short, and where any coding makes
    more than `MOST_TIMES` the bytes that came in, beyond the first `ALWAYS_BYTES`. `received`
    counts those, if `pieces` are what another coding made of them.
    """
    codings = codings_of(encoding)
    if len(codings) > MOST_CODINGS:
        raise Undecodable(f"{len(codings)} content-encodings")
    if received is None:
        pieces = received = Received(pieces)
    decoded = iter(pieces)
    for name in reversed(codings):
        decoded = _iter_decode_one(decoded, name, received)
    yield from decoded


class Received:
    """The pieces of a body as it came, and how much of it has been read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._n_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._n_bytes += len(piece)
            yield piece

    def check_growth(self, n_decoded: int) -> None:
        if n_decoded > max(ALWAYS_BYTES, MOST_TIMES * self._n_bytes):
            raise Undecodable(f"it grows to more than {MOST_TIMES} times its size")


def _iter_decode_one(pieces: Iterator[bytes], name: str, received: Received) -> Iterator[bytes]:
    head = b""
    while len(head) < 2 and (piece := next(pieces, None)) is not None:
        head += piece
    start = _starter(name, [head])
    if start is None:
        raise Undecodable(f"content-encoding {name[:40]!r} is unknown")
    decoder, total = start(), 0
    step_bytes = decoder.input_step
    for piece in chain([head], pieces):
        offset = 0
        while offset < len(piece):
            step = piece[offset : offset + step_bytes]
            offset += len(step)
            before = total
            try:
                for out in chain.from_iterable(map(_in_steps, decoder.feed(step))):
                    total += len(out)
                    received.check_growth(total)
                    yield out
            except _broken:
                raise Undecodable(f"content-encoding {name} is broken") from None
            # zstd gives all that a step makes at once: up to 32,768 times as much.
            is_large = total - before > 4 * _STEP_BYTES
            step_bytes = max(step_bytes // 16, 16) if is_large else decoder.input_step
            if total == before:
                yield b""
    if not decoder.is_finished() and head:
        raise Undecodable(f"content-encoding {name} is cut short")


def _in_steps(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _STEP_BYTES] for start in range(0, len(data), _STEP_BYTES))


def _starter(name: str, pieces: list[bytes]) -> Callable[[], _Decoder] | None:
    if name in ("gzip", "x-gzip"):
        return _Gzip
    if name == "deflate":
        return _deflate(pieces)
    if name == "br":
        return _Brotli
    if name == "zstd":
        return _Zstd
    return None


def _decode_one(
    pieces: list[bytes], start: Callable[[], _Decoder], limit: int
) -> tuple[list[bytes], str | None, bool]:
    """Returns a decoded piece for each piece, a note of what was wrong, and whether that is the
    limit."""
    decoder = start()
    decoded = [b""] * len(pieces)
    total = 0
    for number, piece in enumerate(pieces):
        got: list[bytes] = []
        for offset in range(0, len(piece), decoder.input_step):
            step = piece[offset : offset + decoder.input_step]
            try:
                for out in decoder.feed(step):
                    got.append(out[: limit - total])
                    total += len(got[-1])
                    if len(got[-1]) < len(out):
                        decoded[number] = b"".join(got)
                        return decoded, f"more than {limit:,} bytes, cut off there", True
            except _broken:
                before = [*pieces[:number], piece[:offset]]
                got.append(_salvage(start(), before, step, total, limit - total))
                decoded[number] = b"".join(got)
                return decoded, "broken", False
        decoded[number] = b"".join(got)
    is_whole = decoder.is_finished() or not any(pieces)
    return decoded, None if is_whole else "cut short", False


def _salvage(decoder: _Decoder, before: list[bytes], step: bytes, known: int, room: int) -> bytes:
    """Reads a step that is broken somewhere, up to the byte that is wrong.

    A decoder that fails does not give up what it had read, so this starts again from the beginning
    and skips the `known` bytes.
    """
    saved = bytearray()
    steps = [
        piece[offset : offset + decoder.input_step]
        for piece in before
        for offset in range(0, len(piece), decoder.input_step)
    ]
    try:
        for data in (*steps, *(step[i : i + 1] for i in range(len(step)))):
            for out in decoder.feed(data):
                saved += out[known:]
                known = max(known - len(out), 0)
                if len(saved) >= room:
                    return bytes(saved[:room])
    except _broken:
        pass
    return bytes(saved)


class _Inflate:
    """A decoder of zlib's formats; `window_bits` names the container."""

    input_step = 16 * 2**10

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inflate = zlib.decompressobj(window_bits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while not self._inflate.eof:
            out = self._inflate.decompress(data, _STEP_BYTES)
            data = self._inflate.unconsumed_tail
            if out:
                yield out
            if not data and len(out) < _STEP_BYTES:
                return

    def is_finished(self) -> bool:
        return self._inflate.eof


class _Gzip(_Inflate):
    """A decoder of gzip, in which members may follow one another: RFC 1952 section 2.2."""

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._inflate.eof:
            yield from super().feed(data)
            data = self._inflate.unused_data
        while self._inflate.eof and data.startswith(b"\x1f"):
            self._inflate = zlib.decompressobj(self._window_bits)
            yield from super().feed(data)
            data = self._inflate.unused_data


def _deflate(pieces: list[bytes]) -> Callable[[], _Decoder]:
    """RFC 9110 section 8.4.1.2 requires zlib's container; some servers leave it out."""
    head = b"".join(piece[:2] for piece in pieces[:8] if piece)[:2]
    is_zlib = len(head) < 2 or (head[0] & 0x0F == 8 and int.from_bytes(head, "big") % 31 == 0)
    return lambda: _Inflate(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


class _Brotli:
    input_step = 16 * 2**10

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        while not self.is_finished():
            out: bytes = self._decompressor.process(data, output_buffer_limit=_STEP_BYTES)
            # It may have taken all that came in, and hold more than the limit of what comes out.
            if not out and self._decompressor.can_accept_more_data():
                return
            if out:
                yield out
            data = b""

    def is_finished(self) -> bool:
        return bool(self._decompressor.is_finished())


class _Zstd:
    """A decoder of zstd, in which frames may follow one another: RFC 8878 section 3."""

    # A block of 4 bytes can stand for 128 KiB, and the decompressor gives all it has at once.
    input_step = 512

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame.eof:
                if data[0] != 0x28 and not 0x50 <= data[0] <= 0x5F:  # neither frame nor skippable
                    return
                self._frame = self._decompressor.decompressobj()
            if out := self._frame.decompress(data):
                yield out
            data = self._frame.unused_data if self._frame.eof else b""

    def is_finished(self) -> bool:
        return self._frame.eof
