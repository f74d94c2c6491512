"""Finds the children of a JSON container, in bodies that msgspec refuses.

It accepts what Python's json module accepts: lone surrogates, NaN and infinities, any depth;
also a BOM, and strings that are not UTF-8.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple


class Child(NamedTuple):
    """A value of an object, or an item of an array: `data[start:end]`."""

    key: str | None
    start: int
    end: int


# Possessive quantifiers: without them a long string costs memory for every character.
_token = re.compile(
    rb"""[ \t\n\r]*+(?:
    (?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")
    |(?P<atom>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+
        |true|false|null|NaN|-?Infinity)
    |(?P<mark>[][{},:]))""",
    re.VERBOSE,
)
_blanks = re.compile(rb"[ \t\n\r]*+")
_STRING, _ATOM = 1, 2

# What may come next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END = range(6)


def children(data: bytes) -> list[Child] | None:
    """Returns the children in order; None unless `data` is one valid array or object."""
    found: list[Child] = []
    containers = bytearray()  # the open ones, outermost first: their opening brackets
    expected = _VALUE
    position = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    key: str | None = None
    start = 0
    while token := _token.match(data, position):
        kind = token.lastindex
        position = token.end()
        if kind == _STRING and expected in (_KEY, _KEY_OR_END):
            if len(containers) == 1:
                key = _name(token[_STRING])
            expected = _COLON
            continue
        if kind in (_STRING, _ATOM):
            if expected > _VALUE_OR_END or not containers:
                return None
            if len(containers) == 1:
                found.append(Child(key, token.start(kind), position))
            expected = _COMMA_OR_END
            continue
        mark = data[position - 1]
        if mark in b"[{":
            if expected > _VALUE_OR_END:
                return None
            if len(containers) == 1:
                start = position - 1
            containers.append(mark)
            expected = _VALUE_OR_END if mark in b"[" else _KEY_OR_END
        elif mark in b"]}":
            opening = containers.pop() if containers else None
            if mark in b"]":
                fits = opening == ord("[") and expected in (_VALUE_OR_END, _COMMA_OR_END)
            else:
                fits = opening == ord("{") and expected in (_KEY_OR_END, _COMMA_OR_END)
            if not fits:
                return None
            if not containers:
                rest = _blanks.match(data, position)
                return found if rest and rest.end() == len(data) else None
            if len(containers) == 1:
                found.append(Child(key, start, position))
            expected = _COMMA_OR_END
        elif mark in b",":
            if expected != _COMMA_OR_END:
                return None
            expected = _VALUE if containers[-1] in b"[" else _KEY
        elif expected == _COLON:
            expected = _VALUE
        else:
            return None
    return None


def _name(string: bytes) -> str:
    name = json.loads(string.decode("utf-8", "surrogateescape"))
    return name if isinstance(name, str) else ""
