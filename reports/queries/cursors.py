"""Where the next page of a list begins: after a row that the reader has seen, wherever that row is
by now. Opaque to readers."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.db.models import Q
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.request import Request

from reports.queries.parameters import KNOWN_EVERYWHERE

MAX_LENGTH = 500


class Cursor(NamedTuple):
    order: str  # a column, with a `-` where the greatest comes first
    value: datetime | float | int  # of the last row, in this order
    id: int  # and what decides between rows of one value: an id, or a call's seq

    def text(self) -> str:
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    def behind(self, column: str, then: str = "id") -> Q:
        """The rows that come after it, in the order of `column` and then of `then`."""
        sign = "lt" if self.order.startswith("-") else "gt"
        later = Q(**{f"{column}__{sign}": self.value}) | Q(**{f"{then}__{sign}": self.id})
        # Said twice so that an index on the column bounds what is read.
        return Q(**{f"{column}__{sign}e": self.value}) & later


_decode = msgspec.msgpack.Decoder(Cursor).decode


class CursorField(serializers.CharField):
    accepted = "a cursor as the Link header of a page gave it, with the same order"

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=MAX_LENGTH, **options)

    def run_validation(self, data: Any = empty) -> Any:
        if data is empty or data == "":
            return super().run_validation(empty)
        try:
            cursor = _decode(base64.urlsafe_b64decode(str(data) + "=="))
        except (ValueError, msgspec.DecodeError, OverflowError):
            raise ValidationError([self.accepted]) from None
        if not 0 <= cursor.id < 2**63 or not _is_stored(cursor.value):
            raise ValidationError([self.accepted])
        return cursor


def _is_stored(value: datetime | float | int) -> bool:
    """Whether a database can be asked for it."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and 1 < value.year < 9999
    return -(2**63) <= value < 2**63  # no NaN either


def link(request: Request, relation: str, **changes: Any) -> str:
    """RFC 8288: `<…>; rel="next"`: this request with other parameters; None takes one away. A key
    is not passed on."""
    parameters = {
        name: value
        for name, value in {**request.query_params.dict(), **changes}.items()
        if value is not None and name not in KNOWN_EVERYWHERE
    }
    url = request.build_absolute_uri(request.path)
    return f'<{url}?{urlencode(parameters)}>; rel="{relation}"'
