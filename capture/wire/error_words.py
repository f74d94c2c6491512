"""The words of an error, wherever an upstream has put them: its message, and the reasons within it.

A gateway's own message is often "Provider returned error", with the provider's in a field of its
metadata, as an object or as a JSON text.
"""

from __future__ import annotations

import re
from itertools import islice

from capture.wire.json.fields import objects, text
from capture.wire.json.lenient import clean, dump, load
from capture.wire.types import JSON

LONGEST = 2_000
"""Characters that are recorded of an error."""

_WORDS = frozenset(
    """message msg errormessage errormsg errmsg statusmsg statusmessage detail details description
    errordescription originalmessage reason reasons cause raw failedgeneration faultstring error
    errors body response responsebody""".split()
)
"""The fields that have words, in lower case and without underscores."""

# What the agent sent, which some servers repeat.
_NOT_WORDS = frozenset(("input", "ctx", "request", "headers", "messages"))
_CODES = ("code", "Code", "type", "status", "__type", "name")

_MOST_WORDS = 8
_MOST_ENTRIES = 20
_DEEPEST = 12
_LONGEST_JSON = 64 * 2**10  # of a text that may be one

# The reason of Google's ErrorInfo is a code: API_KEY_INVALID.
_is_code = re.compile(r"[\w.-]*", re.ASCII).fullmatch


def words_of(error: JSON) -> str | None:
    """Returns the words of an error, the outermost first; without any, its code; None where there
    is neither."""
    found: list[str] = []
    _collect(error, found, 0)
    if found:
        return "; ".join(found)[:LONGEST]
    if isinstance(error, dict):
        return next(filter(None, (text(error.get(name)) for name in _CODES)), None)
    return None


def describe(error: JSON) -> str:
    """Returns the words of an error, or its JSON text."""
    return words_of(error) or clean(dump(error)[:LONGEST])


def _collect(value: JSON, found: list[str], depth: int) -> None:
    """Adds the words of a text, of a list of such, or of the fields of an object that have them."""
    if len(found) >= _MOST_WORDS or depth > _DEEPEST:
        return
    if isinstance(value, str):
        n_before, inner = len(found), _json_in(value)
        if inner is not None:
            _collect(inner, found, depth + 1)
        if len(found) == n_before:
            _add(value, found)
    elif isinstance(value, list):
        for entry in value[:_MOST_ENTRIES]:
            _collect(entry, found, depth + 1)
    elif isinstance(value, dict):
        _collect_fields(value, found, depth)


def _collect_fields(error: dict[str, JSON], found: list[str], depth: int) -> None:
    within: list[JSON] = []
    for key, value in islice(error.items(), _MOST_ENTRIES):
        has_words = key.lower().replace("_", "") in _WORDS
        if isinstance(value, str):
            if has_words and not (key == "reason" and _is_code(value)):
                _collect(_place_of(error) + value, found, depth + 1)
        elif isinstance(value, dict) and key not in _NOT_WORDS:
            within.append(value)
        elif isinstance(value, list) and key not in _NOT_WORDS:
            # Texts in other lists, such as allowed values, are no words.
            within.append(value if has_words else objects(value[:_MOST_ENTRIES]))
    for value in within:
        _collect(value, found, depth + 1)


def _place_of(error: dict[str, JSON]) -> str:
    """Returns the place that FastAPI names: `{"loc": ["body", "model"], "msg": "Field
    required"}`."""
    location = error.get("loc")
    return ".".join(map(str, location[:_MOST_ENTRIES])) + ": " if isinstance(location, list) else ""


def _json_in(value: str) -> JSON:
    """Returns the object or the list that a text is the JSON of, else None."""
    if len(value) > _LONGEST_JSON or not value.lstrip().startswith(("{", "[", '"{')):
        return None
    decoded, _ = load(value.encode("utf-8", "surrogatepass"))
    return decoded if decoded and isinstance(decoded, dict | list | str) else None


def _add(words: str, found: list[str]) -> None:
    """Adds words that say more than others do, in place of those that they repeat."""
    words = clean(words.strip()[:LONGEST])
    if words and not any(words in other for other in found):
        found[:] = [other for other in found if other not in words]
        found.append(words)
