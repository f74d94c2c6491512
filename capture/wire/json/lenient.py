"""JSON as providers and agents really send it: read without raising, written in one form."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import orjson

from capture.wire.limits import TooMuch, check_json
from capture.wire.types import JSON

DEEPEST = 200
"""The levels of nesting that `clean_json` keeps, as encoders and databases recurse."""

TOO_DEEP = f"(left out: nested deeper than {DEEPEST} levels)"

# msgspec rather than orjson, which turns integers beyond 64 bits into floats.
_decode = msgspec.json.Decoder().decode
_refused = (ValueError, RecursionError)  # ValueError: msgspec's, json's and Unicode's own errors
_surrogate = re.compile("[\ud800-\udfff]")
_blank = b" \t\r\n"
_LONG = 2**20  # a shorter text cannot have too many values


def load(data: bytes) -> tuple[JSON, str | None]:
    """Returns the value, and None; or None, and a note that says why `data` cannot be read.

    Accepted too: a BOM, NaN and infinities, lone surrogates, bytes that are not UTF-8 (as U+FFFD).
    """
    if len(data) > _LONG:
        try:
            check_json(data)
        except TooMuch as reason:
            return None, str(reason)
    try:
        return _decode(data), None
    except _refused:
        pass
    try:
        return json.loads(_text(strip_bom(data)), parse_int=_integer), None
    except RecursionError:
        return None, "the JSON is nested too deeply"
    except json.JSONDecodeError as error:
        return None, f"not JSON at character {error.pos}" if data.strip(_blank) else "empty"


def strip_bom(data: bytes) -> bytes:
    """Returns `data` without a BOM and leading blanks: DeepSeek sends blank lines while a call
    waits."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip(_blank)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def _integer(digits: str) -> int | float:
    # Python refuses longer ones: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
    return int(digits) if len(digits) <= 4_000 else float(digits)


def dump(value: JSON) -> str:
    """Returns compact JSON text of a value that `load` gave."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # lone surrogates, integers beyond 64 bits, nesting beyond 254 levels
        return json.dumps(clean_json(value), ensure_ascii=False, separators=(",", ":"))


def dump_indented(value: JSON) -> str:
    """Returns the JSON text of a value that `load` gave, for readers; cleans the value."""
    value = clean_json(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # integers beyond 64 bits
        return json.dumps(value, ensure_ascii=False, indent=2)


def clean(text: str) -> str:
    """Returns `text` as PostgreSQL accepts it: NUL and lone surrogates become U+FFFD.

    The halves of a character that came in two pieces become that character.
    """
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    if _surrogate.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\ufffd")


def clean_json(value: JSON) -> JSON:
    """Returns `value` as PostgreSQL's jsonb accepts it, changed in place when it is a container.

    Strings and keys are cleaned, NaN and infinities become text, what is nested deeper than
    `DEEPEST` is left out.
    """
    if isinstance(value, str):
        return clean(value)
    if _is_clean(value):
        return value
    top = [value]
    waiting: list[tuple[Any, int]] = [(top, 0)]
    while waiting:
        container, depth = waiting.pop()
        if isinstance(container, dict):
            _clean_keys(container)
            entries = list(container.items())
        else:
            entries = list(enumerate(container))
        for key, entry in entries:
            if isinstance(entry, str):
                container[key] = clean(entry)
            elif isinstance(entry, float):
                container[key] = entry if math.isfinite(entry) else str(entry)
            elif isinstance(entry, dict | list):
                if depth < DEEPEST:
                    waiting.append((entry, depth + 1))
                else:
                    container[key] = TOO_DEEP
    return top[0]


def _is_clean(value: JSON) -> bool:
    """Returns True for nearly all values that are clean; False may be wrong. The check is quick."""
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        return False
    # orjson writes NaN as null.
    is_suspicious = b"\\u0000" in encoded or b"null" in encoded
    return not is_suspicious and encoded.count(b"{") + encoded.count(b"[") <= DEEPEST


def _clean_keys(fields: dict[str, JSON]) -> None:
    if any(clean(key) != key for key in fields):
        entries = [(clean(key), entry) for key, entry in fields.items()]
        fields.clear()
        fields.update(entries)
