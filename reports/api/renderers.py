"""JSON for programs, indented where they ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from rest_framework.renderers import BaseRenderer, JSONRenderer

from reports.json_encoding import encode


class LedgerJSONRenderer(JSONRenderer):
    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        encoded = encode(data)
        if self.get_indent(accepted_media_type or "", renderer_context or {}):
            with suppress(RecursionError):  # too deep to be indented
                return msgspec.json.format(encoded, indent=2)
        return encoded


class TextRenderer(BaseRenderer):
    """Texts of formats that other programs read; whatever else, such as an error, is JSON."""

    media_type = "text/plain"
    format = "text"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return data.encode() if isinstance(data, str) else encode(data)
