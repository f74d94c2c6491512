"""JSON as the ledger gives it out: parts of requests as the bytes that came, money as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from capture.wire.json.lenient import clean_json


class Spliced(NamedTuple):
    """JSON that is put in as it is, in pieces: what is large is not copied once more."""

    pieces: Sequence[bytes | memoryview]


# No JSON has it.
_PLACE = orjson.Fragment(b"\0")


def encode(data: Any) -> bytes:
    return b"".join(encode_in_pieces(data))


def encode_in_pieces(data: Any) -> list[bytes | memoryview]:
    try:
        return _encoded(data)
    except TypeError:  # lone surrogates, integers beyond 64 bits, nesting beyond 254 levels
        return _encoded(_with_large_integers(clean_json(data)))


def _encoded(data: Any) -> list[bytes | memoryview]:
    spliced: list[Spliced] = []

    def encodable(value: Any) -> Any:
        if isinstance(value, Spliced):
            spliced.append(value)
            return _PLACE
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
    """orjson writes none of more than 64 bits; their digits go in as they are."""
    if isinstance(value, dict):
        return {key: _with_large_integers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_large_integers(entry) for entry in value]
    if isinstance(value, int) and value.bit_length() > 63:
        return orjson.Fragment(str(value))
    return value
