"""Finds images, sounds and files, base64 in JSON strings: https://www.rfc-editor.org/rfc/rfc4648

Nothing is parsed. What is found in a whole body is found in a slice of it, in events, in lines and
in an answer that was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from capture.wire.binaries.references import (
    UNKNOWN_TYPE,
    Binary,
    Form,
    Found,
    Referring,
    decoded,
    decoded_as_far_as_it_goes,
    encoded,
    refer,
)
from capture.wire.framing import aws_event_stream, media_types, multipart

SHORTEST = 256
"""Characters of base64: shorter ones are left where they are."""

# A text is looked at in steps: where a string is base64, so are all characters of it that are
# stepped on. Measured on a stream of 90 KB: 15 µs, by a regular expression 700.
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

# How far around a string its neighbours are looked at. Longer names and types are nobody's.
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
# Fields that hold texts as well. What is beside them, or around, says which.
_MAYBE = frozenset(b"data delta result bytes".split())
_says_binary = re.compile(
    rb'"(?:inlineData|inline_data|input_audio|audio|image|video|document)"\s*+:\s*+\{'
    rb'|"type"\s*+:\s*+"(?:[a-z_.]*(?:audio|image|video)[a-z_.]*|base64|file|document)"'
)
_says_text = re.compile(rb'"type"\s*+:\s*+"[a-z_.]*(?:text|thinking|arguments)[a-z_.]*"')
# What providers encrypt or sign, and vectors.
_NEVER = frozenset(
    b"""signature thoughtSignature thought_signature encrypted_content encrypted_index
    encrypted_stdout embedding embeddings""".split()
)


def find(text: bytes, *, exact: bool = False) -> list[Found]:
    """All binaries in JSON text. With `exact`, only those whose text `encoded` gives again."""
    sampled = text[::_STEP].translate(_marks)
    if _RUN not in sampled:
        return []
    return [found for found in _found(text, sampled) if not exact or _is_exact(text, found)]


def _is_exact(text: bytes, found: Found) -> bool:
    return text[found.start + len(found.prefix) : found.end] == encoded(
        found.binary.data, found.form
    )


def _found(text: bytes, sampled: bytes) -> Iterator[Found]:
    position = 0  # behind the string before
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
    """The name of the field whose value, or an item of whose array, begins at a quote; empty where
    there is none to be seen. `position` is behind the last string that was one's."""
    between = text[max(position, quote - _BETWEEN) : quote].replace(b"\\", b"")
    if position and between.strip(b'" \t\r\n') == b",":
        return key_before
    found = _name.search(between)
    return found[1] if found else b""


def _binary(text: bytes, string: re.Match[bytes], key: bytes) -> Found | None:
    start, end, base64 = string.start() + 1, string.end(), string["base64"]
    read = decoded(base64) if end < len(text) else decoded_as_far_as_it_goes(base64)
    if key in _NEVER or read is None:
        return None
    data, form = read.data, read.form
    end = string.start("base64") + read.n_read
    prefix = string["prefix"] or b""
    if prefix:
        named = prefix[5:].partition(b";")[0].replace(b"\\", b"").decode("latin-1")
        return Found(start, end, prefix, form, Binary.of(data, named or media_types.sniffed(data)))
    sniffed = media_types.sniffed(data)
    beside = _beside(text, start, end)
    types = (media_types.named(found.decode("latin-1")) for found in _type_beside.findall(beside))
    media_type = next(filter(None, types), None)
    if key not in _BINARY and sniffed is None:
        told = media_type is not None or _says_binary.search(beside) is not None
        if key not in _MAYBE or not told or _says_text.search(beside):
            return None
    return Found(start, end, prefix, form, Binary.of(data, media_type or sniffed))


def _beside(text: bytes, start: int, end: int) -> bytes:
    """What stands around a string in its own object, and before that object."""
    before = text[max(start - _AROUND, 0) : start].rpartition(b"}")[2]
    after = text[end : end + _AROUND].partition(b"}")[0].partition(b"{")[0]
    return (before + after).replace(b"\\", b"")


def refer_in(body: bytes, content_type: str, *, exact: bool = False) -> Referring:
    """A body without its binaries, whatever it is. With `exact`, without those alone that give the
    same bytes again."""
    found: list[Found] = []
    if not content_type.startswith(_MOSTLY):
        found = whole(body, content_type)
        if not found and multipart.is_multipart(body, content_type):
            found = in_form(body, content_type)
    found = found or find(body, exact=exact)
    if found and aws_event_stream.is_stream(body, content_type):
        found = []  # its frames are checksummed
    return refer(body, found)


_MOSTLY = ("application/json", "text/event-stream")


def in_form(body: bytes, content_type: str) -> list[Found]:
    """The files of a multipart body."""
    return [
        _as_it_is(body, start, end, named)
        for start, end, named in multipart.files(body, content_type)
        if end - start >= SHORTEST
    ]


def whole(body: bytes, content_type: str) -> list[Found]:
    """The body itself, where it is an image, a sound or a file: by what it is called, unless it
    is text nevertheless; by how it begins, where it is not called anything."""
    kind = content_type.partition(";")[0].strip().lower()
    is_called = kind.startswith(("image/", "audio/", "video/")) or kind in _FILES
    if len(body) < SHORTEST or not (is_called or (not kind and media_types.sniffed(body))):
        return []
    return [] if _is_text(body) else [_as_it_is(body, 0, len(body), kind)]


def _as_it_is(body: bytes, start: int, end: int, named: str | None) -> Found:
    data = body[start:end]
    if not named or named == UNKNOWN_TYPE:
        named = media_types.sniffed(data)
    return Found(start, end, b"", Form.RAW, Binary.of(data, named))


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
