"""Reads decoded JSON of unknown shape: each function returns a value of its type, or nothing."""

from __future__ import annotations

import math

from capture.wire.json.lenient import clean
from capture.wire.types import JSON

_LARGEST = 2**63 - 1  # what a database's bigint holds


def text(value: JSON) -> str | None:
    """Returns a string that is not empty, else None."""
    return clean(value) if isinstance(value, str) and value else None


def count(value: JSON) -> int | None:
    """Returns an integer from 0 on, else None. JSON's true is not a number, 12.0 and "12" are."""
    if value is None:  # nearly always
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, str):
        value = int(value) if value.isdecimal() and value.isascii() and len(value) < 19 else None
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def number(value: JSON) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def fields(value: JSON) -> dict[str, JSON]:
    """Returns the object itself; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def objects(value: JSON) -> list[dict[str, JSON]]:
    """Returns the objects in a list, without its other items."""
    found: list[dict[str, JSON]] = []
    if isinstance(value, list):
        for item in value:  # mostly one: a comprehension would be a call of its own
            if isinstance(item, dict):
                found.append(item)
    return found


def texts(content: JSON) -> list[str]:
    """Returns the texts of a message's content: of the string, or of the parts that have a
    `text`."""
    if isinstance(content, str):
        return [content] if content else []
    if not isinstance(content, list):
        return []
    found = (item.get("text") if isinstance(item, dict) else item for item in content)
    return [entry for entry in found if isinstance(entry, str) and entry]


def join_text(pieces: list[str], separator: str = "") -> str | None:
    """Returns the pieces as one clean text; None when they are empty."""
    return clean(separator.join(pieces)) or None
