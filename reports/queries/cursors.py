"""Cursors: a page begins after the last row of the page before, wherever that row is by then.
Cursors are opaque to readers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.db.models import Q
from rest_framework.request import Request

from reports.queries.parameters import KNOWN_EVERYWHERE, Parameter

MAX_LENGTH = 500


class Cursor(NamedTuple):
    order: str  # a column, with a `-` where the greatest comes first
    value: datetime | float | int  # of the last row in this order
    id: int  # orders rows of one value: an id, or a call's seq

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    def rows_after(self, column: str, then: str = "id") -> Q:
        """Returns the condition for the rows after it in the order of `column`, `then`."""
        sign = "lt" if self.order.startswith("-") else "gt"
        later = Q(**{f"{column}__{sign}": self.value}) | Q(**{f"{then}__{sign}": self.id})
        # The redundant bound lets an index on the column limit what is read.
        return Q(**{f"{column}__{sign}e": self.value}) & later


_decode = msgspec.msgpack.Decoder(Cursor).decode


class CursorParameter(Parameter):
    accepted = "a cursor from the Link header of a page with the same order"
    schema: Mapping[str, Any] = {"type": "string", "maxLength": MAX_LENGTH}

    def parse(self, text: str) -> Cursor:
        try:
            cursor = _decode(base64.urlsafe_b64decode(text + "=="))
        except (msgspec.DecodeError, OverflowError):
            raise ValueError from None
        if not 0 <= cursor.id < 2**63 or not _is_comparable(cursor.value):
            raise ValueError
        return cursor


def _is_comparable(value: datetime | float | int) -> bool:
    """Returns whether a database can compare it with a column."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and 1 < value.year < 9999
    return -(2**63) <= value < 2**63  # NaN is not


def link(request: Request, relation: str, **changes: Any) -> str:
    """Returns the value of a Link header (RFC 8288), `<…>; rel="next"`: the request's URL with
    other parameters, without those that are None, and without a key."""
    parameters = {
        name: value
        for name, value in {**request.query_params.dict(), **changes}.items()
        if value is not None and name not in KNOWN_EVERYWHERE
    }
    url = request.build_absolute_uri(request.path)
    return f'<{url}?{urlencode(parameters)}>; rel="{relation}"'
