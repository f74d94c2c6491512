"""Finds what admission must know of a body, in bounds that hold whatever an agent sends.

A small body is read at once. A large one, or one that grows to a large one, is read piece by piece
in a thread, one body at a time: large ones wait for each other, and small ones for nobody. What
cannot be found in bounds is for the rules of admission to decide.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Protocol

from capture.upstream.headers import RawHeaders
from capture.wire.framing.actual_encoding import is_encoded, iter_decode_actual
from capture.wire.request_summary import RequestSummary, summarize_pieces, summarize_request
from capture.wire.types import Unreadable, WireFormat

# Decoded bytes that are read at once. At worst that takes a few milliseconds.
MAX_INLINE = 256 * 1024
# Providers take bodies of up to 20 to 100 MB.
MAX_READ = 256 * 1024 * 1024
# Of CPU time. The largest body takes a second, or longer if it is of the worst kind.
MAX_CPU_S = 2.0
# A body that has waited longer for others is not read at all.
MAX_WAIT_S = 30.0
# A thread that always has work delays calls wherever they wait for the interpreter's lock, and so
# many times a call that calls pile up. It rests after each turn, for so many times its length.
TURN_S = 0.0005
REST = 2.0

# One thread: more would only take turns, and each that is ready delays calls by its turn.
_thread = ThreadPoolExecutor(1, thread_name_prefix="body-inspection")


class Body(Protocol):
    """A body that has been read, or that is in a file."""

    @property
    def size(self) -> int: ...

    @property
    def is_in_memory(self) -> bool:
        """Is true if `data` is the whole body."""

    @property
    def data(self) -> bytes: ...

    def pieces(self) -> Iterator[bytes]: ...


async def inspect_body(
    body: Body, headers: RawHeaders, wire_format: WireFormat, path: str
) -> RequestSummary:
    """Returns what admission needs to know of the body: models, maximum of tokens, length."""
    content_type, encoding = _read_headers(headers)
    beginning, rest = body.data, None
    if not body.is_in_memory or body.size > MAX_INLINE:
        beginning, rest = b"", iter_decode_actual(body.pieces(), encoding)
    elif is_encoded(body.data, encoding):
        beginning, rest = _read_beginning(iter_decode_actual([body.data], encoding))
    if rest is None:
        return summarize_request(beginning, wire_format, path=path, content_type=content_type)
    pieces = _in_bounds(chain((beginning,), rest), wait_until=time.monotonic() + MAX_WAIT_S)
    summarize = partial(summarize_pieces, pieces, wire_format, path=path, content_type=content_type)
    summary = await asyncio.get_running_loop().run_in_executor(_thread, summarize)
    if summary.unread is None:
        return summary
    # What was not read may all be text.
    return replace(summary, text_bytes=max(summary.text_bytes, body.size))


def _read_headers(headers: RawHeaders) -> tuple[str, str]:
    """Returns the media type of a body, and its codings. Of two headers both count."""
    content_type = encoding = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = content_type + b", " + value if content_type else value
        elif name == b"content-encoding":
            encoding = encoding + b", " + value if encoding else value
    return content_type.decode("latin-1"), encoding.decode("latin-1")


def _read_beginning(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes] | None]:
    """Returns the beginning of a body, and the rest; None: that is all."""
    read, left = [], MAX_INLINE
    try:
        for piece in pieces:
            read.append(piece)
            left -= len(piece)
            if left <= 0:
                return b"".join(read), pieces
    except Unreadable as error:
        return b"".join(read), _fail(error)
    return b"".join(read), None


def _fail(error: Unreadable) -> Iterator[bytes]:
    raise error
    yield b""


def _in_bounds(pieces: Iterator[bytes], *, wait_until: float) -> Iterator[bytes]:
    """Yields the pieces. Raises Unreadable where their reader, whose thread this is, takes too long
    or was begun too late."""
    if time.monotonic() > wait_until:
        raise Unreadable("too many large bodies came before it")
    left, rested = MAX_READ, time.thread_time()
    end = rested + MAX_CPU_S
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise Unreadable(f"it is larger than {MAX_READ // 2**20} MB")
        now = time.thread_time()
        if now > end:
            raise Unreadable("it takes too long to read")
        if now - rested > TURN_S:
            time.sleep(REST * (now - rested))
            rested = time.thread_time()
        yield piece
