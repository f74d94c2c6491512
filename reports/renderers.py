"""JSON as the ledger gives it out: parts of requests as the bytes that came, money as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from rest_framework.renderers import JSONRenderer


class LedgerJSONRenderer(JSONRenderer):
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        encoded = orjson.dumps(data, default=_encodable, option=orjson.OPT_NON_STR_KEYS)
        if self.get_indent(accepted_media_type or "", renderer_context or {}):
            # Stored bytes are not indented when they are put in, only when read again.
            return orjson.dumps(orjson.loads(encoded), option=orjson.OPT_INDENT_2)
        return encoded


def _encodable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)
