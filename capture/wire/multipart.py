"""Reads multipart/form-data, RFC 7578: small fields as text, files by what tells one from another.

The body is searched once and never copied; what is not read is told in a note.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from capture.wire.jsontext import clean
from capture.wire.types import JSON, Asked
from capture.wire.values import number, text

FIELD_BYTES = 64 * 2**10
"""A longer field is told like a file."""

FIELDS_BYTES = 2**20
"""All fields together."""

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
class Form:
    """By name and in order: a field's text; a file's name, type, size and SHA-256."""

    entries: list[tuple[str, JSON]] = field(default_factory=list)
    note: str | None = None


def is_multipart(body: bytes, content_type: str) -> bool:
    return content_type.lower().startswith("multipart/") or body.startswith(b"--")


def read_request(body: bytes, content_type: str) -> Asked:
    """The fields and the files are the parameters, those of one name a list; none are parts."""
    form = read(body, content_type)
    asked = Asked(note=form.note and f"request: {form.note}")
    by_name: dict[str, list[JSON]] = {}
    for name, value in form.entries:
        by_name.setdefault(name, []).append(value)
    asked.params = {
        name: values[0] if len(values) == 1 else values for name, values in by_name.items()
    }
    if model := text(asked.params.get("model")):
        asked.model_id = model
        del asked.params["model"]
    if asked.params.get("stream") in ("true", "false", "True", "False"):
        asked.stream = asked.params.pop("stream") in ("true", "True")
    temperature = _number(asked.params.get("temperature"))
    if temperature is not None:
        asked.temperature = temperature
        del asked.params["temperature"]
    return asked


def _number(value: JSON) -> float | None:
    try:
        return number(float(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def read(body: bytes, content_type: str) -> Form:
    form = Form()
    delimiter = _delimiter(body, content_type)
    if delimiter is None or not body:
        form.note = "multipart without a boundary" if body else "empty"
        return form
    _, position, is_last = _next_delimiter(body, delimiter, 0)
    room = FIELDS_BYTES
    while position is not None and not is_last:
        if len(form.entries) == MOST_PARTS:
            form.note = f"more than {MOST_PARTS:,} parts"
            return form
        end, following, is_last = _next_delimiter(body, delimiter, position)
        name, value, used = _part(body, position, end, room)
        form.entries.append((name, value))
        room -= used
        position = following
    if not is_last:
        form.note = "the multipart body is cut short"
    return form


def _delimiter(body: bytes, content_type: str) -> bytes | None:
    """The boundary of the header; where that has none, the body's first line."""
    if found := _boundary.search(content_type[:4_000]):
        boundary = (found[1] or found[2]).encode("utf-8", "replace")
    elif body.startswith(b"--"):
        boundary = body[2 : 2 + _LONGEST_BOUNDARY].split(b"\n", 1)[0].rstrip()
    else:
        return None
    return b"--" + boundary if 0 < len(boundary) <= _LONGEST_BOUNDARY else None


def _next_delimiter(body: bytes, delimiter: bytes, position: int) -> tuple[int, int | None, bool]:
    """Where what stands at `position` ends, where what follows the delimiter begins, and whether
    nothing does. Without a delimiter, None.

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


def _part(body: bytes, start: int, end: int, room: int) -> tuple[str, JSON, int]:
    """Name, value, and how many bytes of it were kept."""
    headers, content = _headers(body, start, end)
    disposition = headers.get("content-disposition", "")
    named = {found[1].lower(): _plain(found[2]) for found in _parameter.finditer(disposition)}
    name = clean(named.get("name", ""))[:_LONGEST_NAME]
    filename = named.get("filename")
    if filename is None and "filename*" in named:  # RFC 8187: UTF-8''gr%C3%BC%C3%9Fe.mp3
        filename = unquote(named["filename*"].rpartition("'")[2])
    size = max(end - content, 0)
    if filename is None and size <= min(FIELD_BYTES, room):
        return name, clean(body[content:end].decode("utf-8", "replace")), size
    digest = hashlib.sha256(memoryview(body)[content:end])
    described = {
        "filename": clean(filename)[:_LONGEST_NAME] if filename else None,
        "content_type": clean(headers.get("content-type", ""))[:_LONGEST_NAME] or None,
        "bytes": size,
        "sha256": digest.hexdigest(),
    }
    return name, described, 0


def _headers(body: bytes, start: int, end: int) -> tuple[dict[str, str], int]:
    """By their names in lower case, and where the content begins."""
    if body.startswith((b"\r\n", b"\n"), start):
        return {}, start + (2 if body[start : start + 1] == b"\r" else 1)
    blank = _blank_line.search(body, start, min(end, start + _HEADERS_BYTES))
    if blank is None:
        return {}, start
    lines = body[start : blank.start()].decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, blank.end()


def _plain(value: str) -> str:
    """Of a parameter, in quotes or not."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return _escaped.sub(r"\1", value[1:-1])
    return value
