"""Texts in which references stand in place of the binaries that came in them.

Where the references are is kept beside the text, so that what an agent wrote is never taken for
one, and the original text can be restored while the binaries' bytes are available.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from operator import attrgetter, itemgetter
from typing import NamedTuple

PREFIX = "agentledger-binary:"

UNKNOWN_TYPE = "application/octet-stream"

_media_type = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,60}/[a-z0-9.+_-]{1,80}")
_reference = re.compile(rb"agentledger-binary:[a-z0-9.+/_-]++;bytes=[0-9]++;sha256=[0-9a-f]{64}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")
# All escapes that a string of base64 may have; none of them is part of another.
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


class BinaryForm(IntFlag):
    """The form in which the bytes of a binary stood in the text: flags for its deviations from
    base64."""

    BASE64 = 0
    RAW = 1  # as they are
    URL_SAFE = 2
    UNPADDED = 4
    # Encoders that make JSON fit for HTML: PHP's writes `\/`, .NET's `\u002B`, Gson `\u003d`.
    SLASHES_ESCAPED = 8
    PLUSES_ESCAPED = 16
    PADDING_ESCAPED = 32


@dataclass(frozen=True, slots=True)
class EmbeddedBinary:
    """An image, audio or a file that came in a text. `digest` is the SHA-256 of its bytes."""

    media_type: str
    data: bytes
    digest: bytes

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str | None) -> EmbeddedBinary:
        name = (media_type or "").partition(";")[0].strip().lower()
        if not _media_type.fullmatch(name):  # it must fit into JSON, and into a data URL
            name = UNKNOWN_TYPE
        return cls(name, data, hashlib.sha256(data).digest())

    def reference(self) -> bytes:
        return (
            f"{PREFIX}{self.media_type};bytes={len(self.data)};sha256={self.digest.hex()}".encode()
        )


class FoundBinary(NamedTuple):
    """A binary in a text: `text[start:end]`, which is `prefix` and then the bytes in their form."""

    start: int
    end: int
    prefix: bytes
    form: BinaryForm
    binary: EmbeddedBinary


class Reference(NamedTuple):
    """A reference in a text. `offset` is where it begins; `prefix`, `form` and `digest` say what
    it stands for."""

    offset: int
    prefix: bytes
    form: int
    digest: bytes


_offset_of = attrgetter("offset")


class ReferencingText(NamedTuple):
    """A text in which references stand in place of the binaries of the original."""

    text: bytes
    references: list[Reference]
    binaries: list[EmbeddedBinary]
    ends: list[tuple[int, int]]  # of each reference here, and of its binary in the original

    def original_offset(self, offset: int) -> int:
        """Returns the offset in the original; for one within a reference, the end of its binary."""
        index = bisect_right(self.ends, offset, key=itemgetter(0))
        if index < len(self.references) and offset > self.references[index].offset:
            return self.ends[index][1]
        end, original_end = self.ends[index - 1] if index else (0, 0)
        return offset - end + original_end

    def references_between(self, start: int, end: int) -> list[Reference]:
        """Returns the references in `text[start:end]`, with offsets from its beginning."""
        first = bisect_left(self.references, start, key=_offset_of)
        last = bisect_left(self.references, end, key=_offset_of)
        return [
            reference._replace(offset=reference.offset - start)
            for reference in self.references[first:last]
        ]


class Mark(NamedTuple):
    """A piece that a frame has of a part of the body: one that is no part of what the part says.
    `offset` is its place in the part without it; below 0, -1 is the end of the part."""

    part: int  # its index
    offset: int
    data: bytes


class StoredText(NamedTuple):
    """A body, or the frame of one, as the ledger stores it: with references in place of
    binaries."""

    data: bytes
    references: Sequence[Reference] = ()
    is_decoded: bool = False  # it came with a content-encoding, and is stored without it
    marks: Sequence[Mark] = ()  # of a frame: what it has of the parts


def insert_references(text: bytes, found: Sequence[FoundBinary]) -> ReferencingText:
    """Puts a reference in place of each binary. `found` is in order, without overlaps."""
    if not found:
        return ReferencingText(text, [], [], [])
    pieces: list[bytes] = []
    references, binaries, ends = [], [], []
    position = size = 0
    for start, end, prefix, form, binary in found:
        reference = binary.reference()
        pieces += (text[position:start], reference)
        size += start - position
        references.append(Reference(size, prefix, int(form), binary.digest))
        size += len(reference)
        binaries.append(binary)
        ends.append((size, end))
        position = end
    pieces.append(text[position:])
    return ReferencingText(b"".join(pieces), references, binaries, ends)


def restore_text(
    text: bytes, references: Iterable[Reference], bytes_of: Callable[[bytes], bytes | None]
) -> bytes | None:
    """Returns the original text; None where the bytes of a binary are not available.

    `bytes_of` returns the bytes of a digest, or None.
    """
    pieces: list[bytes] = []
    position = 0
    for offset, prefix, form, digest in references:
        data = bytes_of(digest)
        reference = _reference.match(text, offset)
        if data is None or reference is None:
            return None
        pieces += (text[position:offset], prefix, encode_binary(data, BinaryForm(form)))
        position = reference.end()
    pieces.append(text[position:])
    return b"".join(pieces)


def encode_binary(data: bytes, form: BinaryForm) -> bytes:
    """Writes the bytes of a binary in the form in which they stood in the text."""
    if form & BinaryForm.RAW:
        return data
    text = binascii.b2a_base64(data, newline=False)
    if form & BinaryForm.UNPADDED:
        text = text.rstrip(b"=")
    if form & BinaryForm.URL_SAFE:
        text = text.translate(_URL_SAFE)
    if form & BinaryForm.SLASHES_ESCAPED:
        text = text.replace(b"/", b"\\/")
    if form & BinaryForm.PLUSES_ESCAPED:
        text = text.replace(b"+", b"\\u002B")
    if form & BinaryForm.PADDING_ESCAPED:
        text = text.replace(b"=", b"\\u003d")
    return text


class DecodedBase64(NamedTuple):
    data: bytes
    form: BinaryForm
    n_read: int  # of the text


def decode_base64(text: bytes) -> DecodedBase64 | None:
    """Returns the bytes that base64 in a JSON string stands for; None when it is not base64.

    `encode_binary` gives the same text of data and form, unless it had line ends or an unusual
    spelling.
    """
    form, plain = BinaryForm.BASE64, text
    if b"\\" in plain:
        form |= BinaryForm.SLASHES_ESCAPED if b"\\/" in plain else form
        form |= BinaryForm.PLUSES_ESCAPED if b"\\u002" in plain else form
        form |= BinaryForm.PADDING_ESCAPED if b"\\u003" in plain else form
        for escape, character in _ESCAPES:
            plain = plain.replace(escape, character)
    if b"-" in plain or b"_" in plain:
        form |= BinaryForm.URL_SAFE
        plain = plain.translate(_STANDARD)
    if missing := -len(plain) % 4:
        form |= BinaryForm.UNPADDED
        plain += b"=" * missing
    try:
        return DecodedBase64(binascii.a2b_base64(plain, strict_mode=True), form, len(text))
    except binascii.Error:
        return None


def decode_cut_base64(text: bytes) -> DecodedBase64 | None:
    """Decodes base64 that was cut off, up to its last complete group of four characters. A
    character may be an escape of six."""
    for end in range(len(text), len(text) - 4 * 6, -1):
        found = decode_base64(text[:end])
        if found and not found.form & BinaryForm.UNPADDED:
            return found
    return None
