"""Reads multipart/form-data, RFC 7578: small fields as text, files as name, type, size and SHA-256.

The body is searched once and never copied; a note says what is not read. `iter_values` reads one
that comes in pieces.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from capture.wire.json.fields import number, text
from capture.wire.json.lenient import clean
from capture.wire.types import JSON, ParsedRequest, Unreadable

FIELD_BYTES = 64 * 2**10
"""A longer field is described like a file."""

FIELDS_BYTES = 2**20
"""The most bytes of all fields together."""

MOST_PARTS = 1_000

_HEADERS_BYTES = 16 * 2**10
_LONGEST_BOUNDARY = 200  # RFC 2046 allows 70
_LONGEST_NAME = 500  # characters

_boundary = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;,"]+))', re.IGNORECASE)
_rest_of_line = re.compile(rb"(--)|[ \t]*+\r?\n")
_blank_line = re.compile(rb"\r?\n\r?\n")
# Possessive: a header of blanks alone costs no more than its length.
_parameter = re.compile(r';\s*+(name|filename\*?)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;\s]*+)', re.I)
_escaped = re.compile(r'\\(["\\])')


@dataclass(slots=True)
class FormData:
    """The entries of a form in order: a field's text; a file's name, type, size and SHA-256."""

    entries: list[tuple[str, JSON]] = field(default_factory=list)
    note: str | None = None


def is_multipart(body: bytes, content_type: str) -> bool:
    return content_type.lower().startswith("multipart/") or body.startswith(b"--")


def read_request(body: bytes, content_type: str) -> ParsedRequest:
    """Reads fields and files as parameters, those of one name as a list. None of them are parts."""
    form = read_form(body, content_type)
    parsed_request = ParsedRequest(note=form.note and f"request: {form.note}")
    by_name: dict[str, list[JSON]] = {}
    for name, value in form.entries:
        by_name.setdefault(name, []).append(value)
    parsed_request.params = {
        name: values[0] if len(values) == 1 else values for name, values in by_name.items()
    }
    if model := text(parsed_request.params.get("model")):
        parsed_request.model_id = model
        del parsed_request.params["model"]
    if parsed_request.params.get("stream") in ("true", "false", "True", "False"):
        parsed_request.stream = parsed_request.params.pop("stream") in ("true", "True")
    temperature = _number(parsed_request.params.get("temperature"))
    if temperature is not None:
        parsed_request.temperature = temperature
        del parsed_request.params["temperature"]
    return parsed_request


def _number(value: JSON) -> float | None:
    try:
        return number(float(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def read_form(body: bytes, content_type: str) -> FormData:
    form = FormData()
    for part in _parts(body, content_type, form):
        form.entries.append((part.name, _value(body, part)))
    return form


def files(body: bytes, content_type: str) -> Iterator[tuple[int, int, str | None]]:
    """Yields the begin and end of each file's content, and its media type or None."""
    for part in _parts(body, content_type, FormData()):
        if part.is_file:
            yield part.start, part.end, part.content_type


def iter_values(pieces: Iterator[bytes], content_type: str, name: str) -> Iterator[str]:
    """Yields the values of the fields of one name, of a form that comes in pieces.

    Raises Unreadable where that is not a form from its first byte to its last, or one with too many
    or too long parts.
    """
    body = _Pieces(pieces)
    body.look_ahead(_HEADERS_BYTES)
    delimiter = _delimiter(body.data[1:], content_type)
    if len(_boundary.findall(content_type)) > 1:
        raise Unreadable("it has more than one boundary")
    # What stands before the first boundary is ignored by readers of forms, but not by others.
    if delimiter is None or not body.data.lstrip(b"\r\n").startswith(delimiter):
        raise Unreadable("it is not a form that begins with its boundary")
    for _ in range(MOST_PARTS):
        if body.pass_delimiter(delimiter):
            body.look_ahead(_HEADERS_BYTES)
            if body.data[body.at :].strip():
                raise Unreadable("something follows its last boundary")
            return
        body.look_ahead(FIELD_BYTES + 2 * _HEADERS_BYTES)
        end, following, _ = _next_delimiter(body.data, delimiter, body.at)
        part = _part(body.data, body.at, end, FIELD_BYTES)
        if part.name == name:
            if part.is_file:
                raise Unreadable(f"its {name} is a file, or longer than {FIELD_BYTES:,} bytes")
            if following is None:
                raise Unreadable("the multipart body is cut short")
            yield clean(body.data[part.start : part.end].decode("utf-8", "replace"))
        body.at = part.start
    raise Unreadable(f"it has more than {MOST_PARTS:,} parts")


class _Pieces:
    """The bytes of a form from `data[at]` on, as far as they have been read; one byte at least
    stands before them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.data = b"\n"  # the first delimiter begins a line, as all of them do
        self.at = 1

    def look_ahead(self, n_bytes: int) -> bool:
        """Reads until there are so many bytes; returns whether any came."""
        missing = n_bytes - (len(self.data) - self.at)
        read = []
        while missing > 0 and (piece := next(self._pieces, None)) is not None:
            read.append(piece)
            missing -= len(piece)
        if read:
            self.data, self.at = b"".join([self.data[self.at - 1 :], *read]), 1
        return bool(read)

    def pass_delimiter(self, delimiter: bytes) -> bool:
        """Goes behind the next delimiter; returns whether it is the last one."""
        line = b"\n" + delimiter
        while True:
            found = self.data.find(line, self.at - 1)
            self.at = max(len(self.data) - len(line), self.at) if found < 0 else found + len(line)
            if not self.look_ahead(_HEADERS_BYTES) and found < 0:
                raise Unreadable("the multipart body is cut short")
            if found >= 0 and (rest := _rest_of_line.match(self.data, self.at)):
                self.at = rest.end()
                return rest[1] is not None


class _FormPart(NamedTuple):
    name: str
    is_file: bool  # or is described like one
    filename: str | None
    content_type: str | None
    start: int  # of the content
    end: int


def _parts(body: bytes, content_type: str, form: FormData) -> Iterator[_FormPart]:
    """Yields the parts; what is wrong with the body goes into the form's note."""
    delimiter = _delimiter(body, content_type)
    if delimiter is None or not body:
        form.note = "multipart without a boundary" if body else "empty"
        return
    _, position, is_last = _next_delimiter(body, delimiter, 0)
    room, n_parts = FIELDS_BYTES, 0
    while position is not None and not is_last:
        if n_parts == MOST_PARTS:
            form.note = f"more than {MOST_PARTS:,} parts"
            return
        end, following, is_last = _next_delimiter(body, delimiter, position)
        part = _part(body, position, end, room)
        yield part
        n_parts += 1
        room -= 0 if part.is_file else max(part.end - part.start, 0)
        position = following
    if not is_last:
        form.note = "the multipart body is cut short"


def _delimiter(body: bytes, content_type: str) -> bytes | None:
    """Returns the boundary of the header; when that has none, the body's first line."""
    if found := _boundary.search(content_type[:4_000]):
        boundary = (found[1] or found[2]).encode("utf-8", "replace")
    elif body.startswith(b"--"):
        boundary = body[2 : 2 + _LONGEST_BOUNDARY].split(b"\n", 1)[0].rstrip()
    else:
        return None
    return b"--" + boundary if 0 < len(boundary) <= _LONGEST_BOUNDARY else None


def _next_delimiter(body: bytes, delimiter: bytes, position: int) -> tuple[int, int | None, bool]:
    """Finds the next delimiter: returns where the content at `position` ends, where the next one
    begins (None without a delimiter), and whether the delimiter is the last one.

    The line end before a delimiter belongs to it, and may be the one that ended the line before.
    """
    if position == 0 and body.startswith(delimiter):
        rest = _rest_of_line.match(body, len(delimiter))
        if rest:
            return 0, rest.end(), rest[1] is not None
    line = b"\n" + delimiter
    found = body.find(line, max(position - 1, 0))
    while found >= 0:
        rest = _rest_of_line.match(body, found + len(line))
        if rest:  # else the line goes on, and is none
            end = found - 1 if body[found - 1 : found] == b"\r" else found
            return max(end, position), rest.end(), rest[1] is not None
        found = body.find(line, found + len(line))
    return len(body), None, False


def _part(body: bytes, start: int, end: int, room: int) -> _FormPart:
    headers, content = _headers(body, start, end)
    disposition = headers.get("content-disposition", "")
    parameters = {found[1].lower(): _plain(found[2]) for found in _parameter.finditer(disposition)}
    filename = parameters.get("filename")
    if filename is None and "filename*" in parameters:  # RFC 8187: UTF-8''gr%C3%BC%C3%9Fe.mp3
        filename = unquote(parameters["filename*"].rpartition("'")[2])
    return _FormPart(
        name=clean(parameters.get("name", ""))[:_LONGEST_NAME],
        is_file=filename is not None or end - content > min(FIELD_BYTES, room),
        filename=clean(filename)[:_LONGEST_NAME] if filename else None,
        content_type=clean(headers.get("content-type", ""))[:_LONGEST_NAME] or None,
        start=content,
        end=end,
    )


def _value(body: bytes, part: _FormPart) -> JSON:
    if not part.is_file:
        return clean(body[part.start : part.end].decode("utf-8", "replace"))
    return {
        "filename": part.filename,
        "content_type": part.content_type,
        "bytes": max(part.end - part.start, 0),
        "sha256": hashlib.sha256(memoryview(body)[part.start : part.end]).hexdigest(),
    }


def _headers(body: bytes, start: int, end: int) -> tuple[dict[str, str], int]:
    """Returns the headers by their names in lower case, and where the content begins."""
    if body.startswith((b"\r\n", b"\n"), start):
        return {}, start + (2 if body[start : start + 1] == b"\r" else 1)
    blank = _blank_line.search(body, start, min(end, start + _HEADERS_BYTES))
    if blank is None:
        return {}, start
    lines = body[start : blank.start()].decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, blank.end()


def _plain(value: str) -> str:
    """Returns the value of a parameter without its quotes."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return _escaped.sub(r"\1", value[1:-1])
    return value
