"""Canonical JSON (RFC 8785). What it cannot carry, integers beyond 53 bits, NaN and infinities,
becomes strings, which are named.

orjson's sorted output is the same but for floats, and for keys beyond the basic plane; it is twenty
times as fast as `rfc8785`.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import orjson
import rfc8785

from capture.wire.json.lenient import DEEPEST, TOO_DEEP, clean

MAX_INTEGER = 2**53 - 1

_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_may_be_float = re.compile(rb"[0-9][.e]").search
_beyond_plane = re.compile(rb"[\xf0-\xf4]").search


class Canonical(NamedTuple):
    """`coerced` are the JSON pointers (RFC 6901) within the value to what was changed."""

    json: bytes
    coerced: tuple[str, ...] = ()


_NO_ELEMENTS = Canonical(b"[]")


def canonical(value: Any) -> Canonical:
    """Returns the canonical JSON of a value that a parser gave. Its containers may be changed."""
    if value == []:
        return _NO_ELEMENTS
    try:
        encoded = orjson.dumps(value, option=_SORTED)
    except TypeError:  # larger integers, lone surrogates, too deep
        return _coerced(value)
    # orjson writes NaN as null.
    if _may_be_float(encoded) or b"null" in encoded or _beyond_plane(encoded):
        return Canonical(encoded) if _is_plain(value) else _coerced(value)
    return Canonical(encoded)


def _is_plain(value: Any) -> bool:
    """Returns whether a value has no float, and only keys that sort alike by code point and by
    UTF-16."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if not all(map(str.isascii, one)) and max(map(max, filter(None, one))) > "\uffff":
                return False
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, float):
            return False
    return True


def _coerced(value: Any) -> Canonical:
    top = [value]
    coerced: list[str] = []
    waiting: list[tuple[Any, str, int]] = [(top, "", 0)]
    while waiting:
        container, pointer, depth = waiting.pop()
        if isinstance(container, dict):
            _clean_keys(container)
        entries = list(container.items() if isinstance(container, dict) else enumerate(container))
        for key, entry in entries:
            here = f"{pointer}/{escape(str(key))}" if container is not top else ""
            if isinstance(entry, dict | list) and depth <= DEEPEST:
                waiting.append((entry, here, depth + 1))
            elif (carried := _carried(entry)) is not entry:
                container[key] = carried
                if not isinstance(entry, str):
                    coerced.append(here)
    return Canonical(rfc8785.dumps(top[0]), tuple(sorted(coerced)))


def _carried(value: Any) -> Any:
    """Returns what canonical JSON has in place of a value; most often the value itself."""
    if isinstance(value, str):
        return carried_text(value)
    if isinstance(value, float):
        return value if is_carried(value) else number_name(value)
    if isinstance(value, int):
        return value if -MAX_INTEGER <= value <= MAX_INTEGER else str(value)
    return TOO_DEEP if isinstance(value, dict | list) else value


def carried_text(text: str) -> str:
    """Returns a text without lone surrogates, which no UTF-8 has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return clean(text)
    return text


def is_carried(number: float) -> bool:
    """Returns whether all readers take the number for the same: some read one without a fraction
    or an exponent as an integer, and refuse it."""
    return abs(number) <= MAX_INTEGER or (math.isfinite(number) and abs(number) >= 1e21)


def number_name(number: float) -> str:
    if math.isfinite(number):
        return str(int(number))
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def number_json(number: float) -> bytes:
    """Returns a finite number as ECMAScript writes it."""
    text = repr(number)
    if "e" in text or text == "-0.0":
        return rfc8785.dumps(number)
    return text.removesuffix(".0").encode()


def escape(key: str) -> str:
    """Returns a key as a JSON pointer writes it."""
    return key.replace("~", "~0").replace("/", "~1")


def _clean_keys(fields: dict[str, Any]) -> None:
    if any(carried_text(key) is not key for key in fields):
        entries = [(carried_text(key), entry) for key, entry in fields.items()]
        fields.clear()
        fields.update(entries)
