"""Many calls as JSON Lines, in the order in which they were recorded: whoever has some of them goes
on after the `seq` of the last one, and misses none that took long and was recorded late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db.models import QuerySet

from capture.models import Call, Ledger
from reports.chunks import Piece
from reports.export.calls import CanonicalCalls
from reports.queries.parameters import NumberParameter, Parameters, TextParameter, TimeParameter
from reports.queries.records import read_pages


class ManyParameters(Parameters):
    since = TimeParameter(lookup="timestamp__gte", help_text="calls made at this time or later")
    until = TimeParameter(lookup="timestamp__lt", help_text="calls made before this time")
    session_id = TextParameter(lookup="session__session_id", help_text="calls of this session")
    agent_name = TextParameter(lookup="agent_name", help_text="calls of this agent")
    user_id = TextParameter(lookup="user_id", help_text="calls for this user")
    app_id = TextParameter(lookup="app_id", help_text="calls of this application")
    environment = TextParameter(lookup="environment", help_text="calls of this environment")
    model_id = TextParameter(lookup="model_id", help_text="calls of this model")
    provider = TextParameter(lookup="provider", help_text="calls to this provider")
    cursor = NumberParameter(
        lowest=0,
        highest=2**63 - 1,
        lookup="seq__gt",
        help_text="calls recorded after the one with this seq: that of the last line that you have",
    )


class CallLine(NamedTuple):
    seq: int
    pieces: Sequence[Piece]  # canonical JSON and a newline


def find_calls(values: Mapping[str, Any]) -> QuerySet[Call]:
    """Returns the calls that match, without those that are recorded from now on."""
    last_seq = Ledger.objects.values_list("last_seq", flat=True).get(pk=1)
    found = Call.objects.not_deleted().filter(ManyParameters.condition(values))
    return found.filter(seq__lte=last_seq).order_by("seq")


def call_lines(calls: QuerySet[Call]) -> Iterator[CallLine]:
    canonical = CanonicalCalls()
    for page in read_pages(calls, later=_recorded_after):
        for record in page:
            yield CallLine(record.row["seq"], (*canonical.make(record).pieces, b"\n"))


def _recorded_after(calls: QuerySet[Call], position: Mapping[str, Any]) -> QuerySet[Call]:
    return calls.filter(seq__gt=position["seq"])
