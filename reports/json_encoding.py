"""The ledger's JSON: parts of requests keep their original bytes, and money is a number."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from capture.wire.json.lenient import clean_json


class Spliced(NamedTuple):
    """JSON that is inserted unchanged, in pieces: large texts are not copied once more."""

    pieces: Sequence[bytes | memoryview]


# No JSON contains it.
_PLACEHOLDER = orjson.Fragment(b"\0")


def encode(data: Any) -> bytes:
    return b"".join(encode_in_pieces(data))


def encode_in_pieces(data: Any) -> list[bytes | memoryview]:
    try:
        return _encode(data)
    except TypeError:  # lone surrogates, integers beyond 64 bits, nesting beyond 254 levels
        return _encode(_with_large_integers(clean_json(data)))


def _encode(data: Any) -> list[bytes | memoryview]:
    spliced: list[Spliced] = []

    def encodable(value: Any) -> Any:
        if isinstance(value, Spliced):
            spliced.append(value)
            return _PLACEHOLDER
        if isinstance(value, Decimal):
            return float(value)
        raise TypeError(type(value).__name__)

    first, *others = orjson.dumps(data, default=encodable, option=orjson.OPT_NON_STR_KEYS).split(
        b"\0"
    )
    pieces: list[bytes | memoryview] = [first]
    for one, text in zip(spliced, others, strict=True):
        pieces += [*one.pieces, text]
    return pieces


def _with_large_integers(value: Any) -> Any:
    """Replaces integers of more than 64 bits, which orjson refuses, by their digits."""
    if isinstance(value, dict):
        return {key: _with_large_integers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_large_integers(entry) for entry in value]
    if isinstance(value, int) and value.bit_length() > 63:
        return orjson.Fragment(str(value))
    return value
