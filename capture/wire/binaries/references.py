"""Texts without the binaries that came in them: in the place of each stands a reference.

Where the references are is kept beside the text, so that what an agent wrote is never taken for
one, and the text that came can be put together again while the binaries' bytes are at hand.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from operator import itemgetter
from typing import NamedTuple

PREFIX = "agentledger-binary:"

UNKNOWN_TYPE = "application/octet-stream"

_media_type = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,60}/[a-z0-9.+_-]{1,80}")
_reference = re.compile(rb"agentledger-binary:[a-z0-9.+/_-]++;bytes=[0-9]++;sha256=[0-9a-f]{64}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")
# All that a string of base64 may have: nothing of one is within another.
_ESCAPES = (
    (b"\\/", b"/"),
    (b"\\n", b""),
    (b"\\r", b""),
    (b"\\u002b", b"+"),
    (b"\\u002B", b"+"),
    (b"\\u002f", b"/"),
    (b"\\u002F", b"/"),
    (b"\\u003d", b"="),
    (b"\\u003D", b"="),
)


class Form(IntFlag):
    """How the bytes of a binary stood in the text; as plain base64 unless told otherwise."""

    BASE64 = 0
    RAW = 1  # as they are
    URL_SAFE = 2
    UNPADDED = 4
    # Encoders that make JSON fit for HTML: PHP's writes `\/`, .NET's `\u002B`, Gson `\u003d`.
    SLASHES_ESCAPED = 8
    PLUSES_ESCAPED = 16
    PADDING_ESCAPED = 32


@dataclass(frozen=True, slots=True)
class Binary:
    """An image, a sound, a file. `digest` is the SHA-256 of its bytes."""

    media_type: str
    data: bytes
    digest: bytes

    @classmethod
    def of(cls, data: bytes, media_type: str | None) -> Binary:
        named = (media_type or "").partition(";")[0].strip().lower()
        if not _media_type.fullmatch(named):  # it is to stand in JSON, and in a data URL
            named = UNKNOWN_TYPE
        return cls(named, data, hashlib.sha256(data).digest())

    def reference(self) -> bytes:
        return (
            f"{PREFIX}{self.media_type};bytes={len(self.data)};sha256={self.digest.hex()}".encode()
        )


class Found(NamedTuple):
    """A binary in a text: `text[start:end]`, which is `prefix` and then the bytes in their form."""

    start: int
    end: int
    prefix: bytes
    form: Form
    binary: Binary


class Place(NamedTuple):
    """Where in a text a reference stands, and what it stands for."""

    offset: int
    prefix: bytes
    form: int
    digest: bytes


class Referring(NamedTuple):
    """A text in which references stand for what was found in another."""

    text: bytes
    places: list[Place]
    binaries: list[Binary]
    ends: list[tuple[int, int]]  # of each reference, and of what it stands for in the other text

    def before(self, offset: int) -> int:
        """The offset in the other text; the end of a binary for one within its reference."""
        index = bisect_right(self.ends, offset, key=itemgetter(0))
        if index < len(self.places) and offset > self.places[index].offset:
            return self.ends[index][1]
        end, end_before = self.ends[index - 1] if index else (0, 0)
        return offset - end + end_before

    def places_in(self, start: int, end: int) -> list[Place]:
        """Those of `text[start:end]`, told from its beginning."""
        return [
            place._replace(offset=place.offset - start)
            for place in self.places
            if start <= place.offset < end
        ]


class StoredText(NamedTuple):
    """A body, or the frame of one, as the ledger stores it: with references in place of
    binaries."""

    data: bytes
    places: Sequence[Place] = ()
    is_decoded: bool = False  # it came with a content-encoding, and is stored without it


def refer(text: bytes, found: Sequence[Found]) -> Referring:
    """`found` in order, without overlaps."""
    if not found:
        return Referring(text, [], [], [])
    pieces: list[bytes] = []
    places, binaries, ends = [], [], []
    position = size = 0
    for start, end, prefix, form, binary in found:
        reference = binary.reference()
        pieces += (text[position:start], reference)
        size += start - position
        places.append(Place(size, prefix, int(form), binary.digest))
        size += len(reference)
        binaries.append(binary)
        ends.append((size, end))
        position = end
    pieces.append(text[position:])
    return Referring(b"".join(pieces), places, binaries, ends)


def restored(
    text: bytes, places: Iterable[Place], bytes_of: Callable[[bytes], bytes | None]
) -> bytes | None:
    """The text that came; None where the bytes of a binary are not to be had."""
    pieces: list[bytes] = []
    position = 0
    for offset, prefix, form, digest in places:
        data = bytes_of(digest)
        reference = _reference.match(text, offset)
        if data is None or reference is None:
            return None
        pieces += (text[position:offset], prefix, encoded(data, Form(form)))
        position = reference.end()
    pieces.append(text[position:])
    return b"".join(pieces)


def encoded(data: bytes, form: Form) -> bytes:
    if form & Form.RAW:
        return data
    text = binascii.b2a_base64(data, newline=False)
    if form & Form.UNPADDED:
        text = text.rstrip(b"=")
    if form & Form.URL_SAFE:
        text = text.translate(_URL_SAFE)
    if form & Form.SLASHES_ESCAPED:
        text = text.replace(b"/", b"\\/")
    if form & Form.PLUSES_ESCAPED:
        text = text.replace(b"+", b"\\u002B")
    if form & Form.PADDING_ESCAPED:
        text = text.replace(b"=", b"\\u003d")
    return text


class Decoded(NamedTuple):
    data: bytes
    form: Form
    n_read: int  # of the text


def decoded(text: bytes) -> Decoded | None:
    """The bytes that base64 in a JSON string stands for; None where it is none.

    `encoded` gives the same text of both, unless that has line ends or is written oddly.
    """
    form, plain = Form.BASE64, text
    if b"\\" in plain:
        form |= Form.SLASHES_ESCAPED if b"\\/" in plain else form
        form |= Form.PLUSES_ESCAPED if b"\\u002" in plain else form
        form |= Form.PADDING_ESCAPED if b"\\u003" in plain else form
        for escape, character in _ESCAPES:
            plain = plain.replace(escape, character)
    if b"-" in plain or b"_" in plain:
        form |= Form.URL_SAFE
        plain = plain.translate(_STANDARD)
    if missing := -len(plain) % 4:
        form |= Form.UNPADDED
        plain += b"=" * missing
    try:
        return Decoded(binascii.a2b_base64(plain, strict_mode=True), form, len(text))
    except binascii.Error:
        return None


def decoded_as_far_as_it_goes(text: bytes) -> Decoded | None:
    """The same of base64 that was cut off: up to the last whole group of four characters, the last
    of which may be an escape of six."""
    for end in range(len(text), len(text) - 4 * 6, -1):
        found = decoded(text[:end])
        if found and not found.form & Form.UNPADDED:
            return found
    return None
