"""Bodies that are small to send and large to read: each takes long or much memory, if whoever reads
it bounds the bytes that arrive and not the work that they make."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

import brotli  # type: ignore[import-untyped]  # it has no types
import zstandard

MESSAGE = b'{"role":"user","content":"x"}'
DELTA = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def repeated(unit: bytes, size: int) -> Iterator[bytes]:
    """Yields about `size` bytes of `unit`, again and again, in pieces of a megabyte."""
    piece = unit * max(1, 2**20 // len(unit))
    for _ in range(max(1, size // len(piece))):
        yield piece


def request_of_messages(
    size: int, message: bytes = MESSAGE, *, model: bytes = b"m"
) -> Iterator[bytes]:
    """Yields a chat request of about `size` bytes whose messages are all the same, and whose model
    comes last."""
    yield b'{"messages":[' + message
    yield from repeated(b"," + message, size)
    yield b'],"model":"' + model + b'"}'


def response_of_choices(size: int) -> Iterator[bytes]:
    """Yields a chat completion of about `size` bytes with as many choices as fit."""
    choice = b'{"index":0,"message":{"role":"assistant","content":"x"}}'
    yield b'{"id":"c","object":"chat.completion","model":"m","choices":[' + choice
    yield from repeated(b"," + choice, size)
    yield b'],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


def stream_of_deltas(size: int) -> Iterator[bytes]:
    """Yields about `size` bytes of server-sent events of a chat completion."""
    yield from repeated(DELTA, size)
    yield b"data: [DONE]\n\n"


def gzip(pieces: Iterable[bytes]) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join([*map(compressor.compress, pieces), compressor.flush()])


def brotlied(pieces: Iterable[bytes]) -> bytes:
    compressor = brotli.Compressor(quality=5, lgwin=24)
    return b"".join([*map(compressor.process, pieces), compressor.finish()])


def zstd(pieces: Iterable[bytes]) -> bytes:
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    return b"".join([*map(compressor.compress, pieces), compressor.flush()])


ENCODERS: dict[str, Callable[[Iterable[bytes]], bytes]] = {
    "gzip": gzip,
    "br": brotlied,
    "zstd": zstd,
}
"""By the name of the content-encoding."""
