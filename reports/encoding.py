"""JSON as the ledger gives it out: parts of requests as the bytes that came, money as numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from capture.wire.jsontext import clean_json


def encode(data: Any) -> bytes:
    try:
        return _encoded(data)
    except TypeError:  # lone surrogates, integers beyond 64 bits, nesting beyond 254 levels
        return _encoded(_with_large_integers(clean_json(data)))


def _encoded(data: Any) -> bytes:
    return orjson.dumps(data, default=_encodable, option=orjson.OPT_NON_STR_KEYS)


def _with_large_integers(value: Any) -> Any:
    """orjson writes none of more than 64 bits; their digits go in as they are."""
    if isinstance(value, dict):
        return {key: _with_large_integers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_large_integers(entry) for entry in value]
    if isinstance(value, int) and value.bit_length() > 63:
        return orjson.Fragment(str(value))
    return value


def _encodable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)
