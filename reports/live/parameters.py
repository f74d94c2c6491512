"""What a client of the live feed asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from django.http import QueryDict

from reports.call_list import CallFilter, CallsParameters
from reports.dashboard.preferences import zone_of
from reports.parameters import Flag, Number, Text

DEFAULT_LIMIT, MAX_LIMIT = 50, 500


class LiveParameters(CallsParameters):
    since = Number(lowest=0, highest=2**63 - 1, help_text="begin with what came after this seq")
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


def asked(query: bytes) -> tuple[Watch, int | None]:
    """What to watch, and since which seq. Raises ValidationError."""
    values: dict[str, Any] = LiveParameters.of_query(QueryDict(query))
    zone = zone_of(values["rows"]) if "rows" in values else None
    watch = Watch(
        CallFilter.of(values), values["limit"], sessions=values.get("sessions", False), zone=zone
    )
    return watch, values.get("since")
