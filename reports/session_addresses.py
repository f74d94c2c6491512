"""A session's id as one segment of an address.

Browsers resolve `.` and `..`, escaped or not, and reverse proxies do so after they have decoded
`%2F`, and merge slashes. So a part of an id that is `.`, `..` or nothing, and what could be
mistaken for one, has a tilde before it in addresses. So has what is an address of ours below
`/export/`: an id `period`, and a part `report` or `report.pdf` of an id with slashes.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from django.urls import register_converter
from django.urls.converters import PathConverter

_is_taken = re.compile(r"~*(?:\.{1,2}|period)").fullmatch
_is_taken_as_part = re.compile(r"~*(?:\.{0,2}|report(?:\.pdf)?)").fullmatch


def session_segment(session_id: str) -> str:
    return quote(_mark(session_id), safe="")


def _mark(session_id: str) -> str:
    parts = session_id.split("/")
    is_marked = _is_taken if len(parts) == 1 else _is_taken_as_part
    return "/".join(f"~{part}" if is_marked(part) else part for part in parts)


def _unmark(segment: str) -> str:
    parts = segment.split("/")
    is_marked = _is_taken if len(parts) == 1 else _is_taken_as_part
    return "/".join(part[1:] if part[:1] == "~" and is_marked(part) else part for part in parts)


class SessionIdConverter(PathConverter):
    """Reads and writes the id at the end of a path, since an id may contain slashes."""

    def to_python(self, value: str) -> str:
        return _unmark(value)

    def to_url(self, value: str) -> str:
        return _mark(value)


register_converter(SessionIdConverter, "session")
