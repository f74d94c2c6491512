"""What a client of the live feed asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty
from rest_framework.serializers import CharField

from reports.live.ledger_reader import Since
from reports.queries.call_list import CallFilter, CallsParameters
from reports.queries.parameters import Flag, Number, Text
from reports.queries.time_zones import parse_zone

DEFAULT_LIMIT, MAX_LIMIT = 50, 500
_PLACE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)


class SinceField(CharField):
    accepted = "a seq, or a place as messages tell it"

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)

    def run_validation(self, data: Any = empty) -> Any:
        if data is empty or data == "":
            return super().run_validation(empty)
        found = _PLACE.fullmatch(str(data))
        if found is None:
            raise ValidationError([self.accepted])
        return Since(int(found[1]), int(found[2]) if found[2] else None)


class LiveParameters(CallsParameters):
    since = SinceField(help_text="begin with what came after this seq, or place")
    limit = Number(
        lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="calls in one message"
    )
    sessions = Flag(help_text="the totals of sessions that changed, too")
    rows = Text(help_text="each call as a row of the page too, with times in this zone")


@dataclass(frozen=True, slots=True)
class Watch:
    """Clients that watch the same get the same bytes."""

    filter: CallFilter
    limit: int
    sessions: bool
    zone: tzinfo | None  # of rows; None: no rows are wanted


def asked(query: bytes) -> tuple[Watch, Since | None]:
    """What to watch, and what is known already. Raises ValidationError."""
    values: dict[str, Any] = LiveParameters.of_query(QueryDict(query))
    zone = parse_zone(values["rows"]) if "rows" in values else None
    watch = Watch(
        CallFilter.of(values), values["limit"], sessions=values.get("sessions", False), zone=zone
    )
    return watch, values.get("since")
