"""JSON as the ledger gives it out: parts of requests as the bytes that came, money as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import orjson
from rest_framework.renderers import JSONRenderer

from capture.wire.jsontext import clean_json


class LedgerJSONRenderer(JSONRenderer):
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        try:
            encoded = _encoded(data)
        except TypeError:  # lone surrogates, integers beyond 64 bits, nesting beyond 254 levels
            encoded = _encoded(_with_large_integers(clean_json(data)))
        if self.get_indent(accepted_media_type or "", renderer_context or {}):
            with suppress(RecursionError):  # too deep to be indented
                return msgspec.json.format(encoded, indent=2)
        return encoded


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
