"""The parameters of the live feed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, NamedTuple

from django.http import QueryDict

from capture.ledger.changes import LedgerPosition
from reports.queries.call_list import CallFilter, CallsParameters
from reports.queries.parameters import FlagParameter, NumberParameter, Parameter, TextParameter
from reports.queries.time_zones import parse_zone

DEFAULT_LIMIT, MAX_LIMIT = 50, 500
_PLACE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)


class Since(NamedTuple):
    """The position up to which a client knows the ledger."""

    seq: int
    audit_id: int | None = None  # None: the client does not want to know what was deleted

    def has_reached(self, position: LedgerPosition) -> bool:
        return self.seq == position.seq and self.audit_id in (None, position.audit_id)

    def is_beyond(self, position: LedgerPosition) -> bool:
        """Returns whether the client knows what is not in the ledger: it read another ledger."""
        return self.seq > position.seq or (self.audit_id or 0) > position.audit_id


class SinceParameter(Parameter):
    accepted = "a seq, or the place that a message has named"

    def parse(self, text: str) -> Since:
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError
        return Since(int(found[1]), int(found[2]) if found[2] else None)


class LiveParameters(CallsParameters):
    since = SinceParameter(help_text="begin with what came after this seq, or this place")
    limit = NumberParameter(
        lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="calls in one message"
    )
    sessions = FlagParameter(help_text="also the totals of sessions that change")
    rows = TextParameter(help_text="also each call as a row of the page, with times in this zone")


@dataclass(frozen=True, slots=True)
class Watch:
    """The messages that a client wants. Clients with the same watch get the same bytes."""

    filter: CallFilter
    limit: int  # calls in one message
    with_sessions: bool
    zone: tzinfo | None  # of the times in rows; None: no rows
    root: str = ""  # what stands before the paths of links in rows


def parse_watch(query: bytes, root: str) -> tuple[Watch, Since | None]:
    """Returns the watch of a query string, and its `since`. `root` is the root path of the request.
    Raises ValidationError."""
    values: dict[str, Any] = LiveParameters.parse(QueryDict(query))
    watch = Watch(
        filter=CallFilter.from_parameters(values),
        limit=values["limit"],
        with_sessions=values.get("sessions", False),
        zone=parse_zone(values["rows"]) if "rows" in values else None,
        root=root if "rows" in values else "",
    )
    return watch, values.get("since")
