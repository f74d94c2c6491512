"""Finds images, audio and files, as base64 in JSON strings: https://www.rfc-editor.org/rfc/rfc4648

Nothing is parsed, so the same is found in a whole body, in a slice of it, in events, in lines and
in a response that was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from capture.wire.binaries.references import (
    UNKNOWN_TYPE,
    BinaryForm,
    EmbeddedBinary,
    FoundBinary,
    ReferencingText,
    decode_base64,
    decode_cut_base64,
    encode_binary,
    insert_references,
)
from capture.wire.framing import aws_event_stream, media_types, multipart
from capture.wire.limits import MAX_BINARIES, check

SHORTEST = 256
"""Characters of base64. A shorter binary stays where it is."""

# A text is sampled in steps: where a string is base64, so are all characters that are sampled.
# Measured on a stream of 90 KB: 15 µs, with a regular expression 700.
_STEP = 8
_N_STEPS = SHORTEST // _STEP
_ALPHABET = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\\"  # and of escapes
)
_marks = bytes(byte in _ALPHABET for byte in range(256))
_RUN = b"\1" * _N_STEPS
_run = re.compile(rb"\x01{%d,}+" % _N_STEPS)

_LONGEST_PREFIX = 160
# A string that is base64 alone, or a data URL of it: https://www.rfc-editor.org/rfc/rfc2397. It may
# stand in JSON that is itself a string, with escaped quotes, and the end of the body may cut it
# off. Possessive, so that no character is looked at twice.
_string = re.compile(
    rb"""" (?P<prefix> (?i:data:) [^",\x00-\x20]{0,140}? (?i:;base64,) )?
    (?P<base64> (?: [A-Za-z0-9+/_-]++ | \\(?:[/nr]|u00(?:2[bBfF]|3[dD])) )++ ={0,2}+ (?:\\[nr])*+ )
    (?= \\{0,3}" | (?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z )""",
    re.VERBOSE,
)

# How far around a string its neighbours are searched. No API has longer names and types.
_AROUND = 256
_BETWEEN = 64
_name = re.compile(rb'"([A-Za-z0-9_]{1,40})"[ \t\r\n]*+:[ \t\r\n]*+\[?[ \t\r\n]*+\Z')
_type_beside = re.compile(
    rb'"(?:media_type|mediaType|mimeType|mime_type|format|output_format)"\s*+:\s*+"([^"]{1,120})"'
)

# Fields that hold nothing but binaries.
_BINARY = frozenset(
    b"""b64_json file_data partial_image_b64 input_audio audio ref_audio image images image_base64
    inputImage init_image mask imageBytes image_bytes videoBytes video_bytes audioBytes audio_bytes
    bytesBase64Encoded base64 b64""".split()
)
# Fields that hold texts as well. What stands beside or around them shows which.
_MAYBE = frozenset(b"data delta result bytes".split())
_says_binary = re.compile(
    rb'"(?:inlineData|inline_data|input_audio|audio|image|video|document)"\s*+:\s*+\{'
    rb'|"type"\s*+:\s*+"(?:[a-z_.]*(?:audio|image|video)[a-z_.]*|base64|file|document)"'
)
_says_text = re.compile(rb'"type"\s*+:\s*+"[a-z_.]*(?:text|thinking|arguments)[a-z_.]*"')
# Fields that providers encrypt or sign, and vectors.
_NEVER = frozenset(
    b"""signature thoughtSignature thought_signature encrypted_content encrypted_index
    encrypted_stdout embedding embeddings""".split()
)


def find_binaries(text: bytes, *, exact: bool = False) -> list[FoundBinary]:
    """Finds all binaries in JSON text; with `exact`, only those whose text `encode_binary` gives
    again."""
    sampled = text[::_STEP].translate(_marks)
    if _RUN not in sampled:
        return []
    binaries = []
    for found in _find(text, sampled):
        if not exact or _is_exact(text, found):
            binaries.append(found)
            check(len(binaries), MAX_BINARIES, "images, sounds and files")
    return binaries


def _is_exact(text: bytes, found: FoundBinary) -> bool:
    return text[found.start + len(found.prefix) : found.end] == encode_binary(
        found.binary.data, found.form
    )


def _find(text: bytes, sampled: bytes) -> Iterator[FoundBinary]:
    position = 0  # after the previous string
    key = b""
    for run in _run.finditer(sampled):
        # A run may begin before its string, and hold several.
        start = max(position, run.start() * _STEP - _LONGEST_PREFIX - _STEP)
        end = min(run.end() * _STEP + _STEP, len(text))
        for string in _string.finditer(text, start, end):
            if len(string["base64"]) < SHORTEST or string.end() == end < len(text):
                continue
            key = _key(text, position, string.start(), key)
            position = string.end()
            found = _binary(text, string, key)
            if found is not None:
                yield found


def _key(text: bytes, position: int, quote: int, key_before: bytes) -> bytes:
    """Returns the name of the field whose value, or an item of whose array, begins at a quote;
    empty when there is none. `position` is after the last string that could be a binary."""
    between = text[max(position, quote - _BETWEEN) : quote].replace(b"\\", b"")
    if position and between.strip(b'" \t\r\n') == b",":
        return key_before
    found = _name.search(between)
    return found[1] if found else b""


def _binary(text: bytes, string: re.Match[bytes], key: bytes) -> FoundBinary | None:
    start, end, base64 = string.start() + 1, string.end(), string["base64"]
    read = decode_base64(base64) if end < len(text) else decode_cut_base64(base64)
    if key in _NEVER or read is None:
        return None
    data, form = read.data, read.form
    end = string.start("base64") + read.n_read
    prefix = string["prefix"] or b""
    if prefix:
        name = prefix[5:].partition(b";")[0].replace(b"\\", b"").decode("latin-1")
        return FoundBinary(
            start,
            end,
            prefix,
            form,
            EmbeddedBinary.from_bytes(data, name or media_types.sniff(data)),
        )
    sniffed_type = media_types.sniff(data)
    beside = _beside(text, start, end)
    types = (
        media_types.from_format_name(found.decode("latin-1"))
        for found in _type_beside.findall(beside)
    )
    media_type = next(filter(None, types), None)
    if key not in _BINARY and sniffed_type is None:
        has_sign = media_type is not None or _says_binary.search(beside) is not None
        if key not in _MAYBE or not has_sign or _says_text.search(beside):
            return None
    return FoundBinary(
        start, end, prefix, form, EmbeddedBinary.from_bytes(data, media_type or sniffed_type)
    )


def _beside(text: bytes, start: int, end: int) -> bytes:
    """Returns the text around a string in its own object, and before that object."""
    before = text[max(start - _AROUND, 0) : start].rpartition(b"}")[2]
    after = text[end : end + _AROUND].partition(b"}")[0].partition(b"{")[0]
    return (before + after).replace(b"\\", b"")


def reference_binaries(body: bytes, content_type: str, *, exact: bool = False) -> ReferencingText:
    """Puts references in place of the binaries of a body of any kind. With `exact`, only of those
    that can be restored to the same bytes."""
    found: list[FoundBinary] = []
    if not content_type.startswith(_MOSTLY):
        found = find_whole(body, content_type)
        if not found and multipart.is_multipart(body, content_type):
            found = find_in_form(body, content_type)
    found = found or find_binaries(body, exact=exact)
    if found and aws_event_stream.is_stream(body, content_type):
        found = []  # its frames have checksums
    return insert_references(body, found)


_MOSTLY = ("application/json", "text/event-stream")


def find_in_form(body: bytes, content_type: str) -> list[FoundBinary]:
    """Finds the files of a multipart body."""
    return [
        _raw(body, start, end, media_type)
        for start, end, media_type in multipart.files(body, content_type)
        if end - start >= SHORTEST
    ]


def find_whole(body: bytes, content_type: str) -> list[FoundBinary]:
    """Finds the body itself, when it is an image, audio or a file: by its content type, unless it
    is text nevertheless; by its first bytes, when it has no content type."""
    kind = content_type.partition(";")[0].strip().lower()
    has_binary_type = kind.startswith(("image/", "audio/", "video/")) or kind in _FILES
    if len(body) < SHORTEST or not (has_binary_type or (not kind and media_types.sniff(body))):
        return []
    return [] if _is_text(body) else [_raw(body, 0, len(body), kind)]


def _raw(body: bytes, start: int, end: int, media_type: str | None) -> FoundBinary:
    data = body[start:end]
    if not media_type or media_type == UNKNOWN_TYPE:
        media_type = media_types.sniff(data)
    return FoundBinary(start, end, b"", BinaryForm.RAW, EmbeddedBinary.from_bytes(data, media_type))


_FILES = (UNKNOWN_TYPE, "application/pdf", "application/zip")
_no_text = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def _is_text(body: bytes) -> bool:
    head = body[:4096]
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character may be cut in two there
            return False
    return _no_text.search(head) is None
