"""Counts a response once if several calls bring it, where the provider stores its responses: the
call that created it, and those that fetch it again or resume its stream."""

from __future__ import annotations

from collections import defaultdict
from typing import cast
from uuid import UUID

from django.db.models import F
from django.utils.timezone import now

from capture.ledger.bulk_sql import Row
from capture.ledger.call_rows import TOKEN_COUNTS, cost_parts
from capture.ledger.entry import Entry
from capture.ledger.rollup_sums import FACTS
from capture.ledger.rollups import Rollups
from capture.ledger.sessions import SessionRows
from capture.ledger.spend import Spending
from capture.models import Call, CallBody, PriceCorrection
from capture.pricing.cost import FETCHED, ZERO, Cost

_TOTALS = ("tokens_in", "tokens_out", "cost_usd")
_NAMES = {"action_id", "session_id", "ingest_token"}
_FACTS = {*_NAMES, "usage_source", "price_source", *_TOTALS, *FACTS}


class FetchedResponses:
    """Counts responses that calls of a batch fetch, under the ledger's lock."""

    def __init__(self, sessions: SessionRows, spending: Spending, rollups: Rollups) -> None:
        self._sessions = sessions
        self._spending = spending
        self._rollups = rollups
        # Of this batch: rows of calls by the response's id, and rows of bodies by the call's.
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._bodies: dict[UUID, Row] = {}

    def learn(self, row: Row, body: Row) -> None:
        if row["response_id"]:
            self._rows[row["response_id"]].append(row)
            self._bodies[row["action_id"]] = body

    def count(self, entry: Entry) -> tuple[Entry, UUID | None]:
        """Returns the entry to record, and the first call that had this response if `entry` fetches
        it again; else None.

        A fetch is recorded without usage if the response was counted before, or has no usage yet.
        The first fetch with usage is counted, and takes back what was estimated of earlier calls.
        """
        if not entry.call.is_fetch:
            return entry, None
        earlier = self._earlier_calls(entry.call.parsed_response.response_id)
        is_counted = any(row["usage_source"] == "provider" for row in earlier)
        if entry.call.usage_source != "provider" or is_counted:
            entry = entry.without_usage()
        else:
            for row in earlier:
                if row["usage_source"] == "estimated":
                    self._take_back(row)
        return entry, earlier[0]["action_id"] if earlier else None

    def _earlier_calls(self, response_id: str | None) -> list[Row]:
        if not response_id:
            return []
        recorded = Call.objects.not_deleted().filter(response_id=response_id).order_by("seq")
        facts = recorded.values(*_FACTS, session_name=F("session__session_id"))
        return [*facts, *self._rows.get(response_id, ())]

    def _take_back(self, row: Row) -> None:
        if row["session_id"] is not None:
            self._sessions.take_back(row)
        self._spending.take_back(row, self._session_name(row))
        self._rollups.take_back(row)
        nothing = {
            **dict.fromkeys(TOKEN_COUNTS),
            "usage_source": "none",
            "cost_usd": ZERO,
            "cache_savings_usd": ZERO,
            "price_source": FETCHED,
        }
        parts = cost_parts(Cost.fetched())
        if row["action_id"] in self._bodies:
            row.update(nothing)
            self._bodies[row["action_id"]]["cost_parts"] = parts
            return
        Call.objects.filter(pk=row["action_id"]).update(**nothing)
        CallBody.objects.filter(pk=row["action_id"]).update(cost_parts=parts)
        PriceCorrection.objects.create(
            call_id=row["action_id"],
            corrected_at=now(),
            old_cost_usd=row["cost_usd"],
            new_cost_usd=ZERO,
            old_price_source=row["price_source"],
            new_price_source=FETCHED,
        )

    def _session_name(self, row: Row) -> str | None:
        if "session_name" in row:
            return cast("str | None", row["session_name"])
        session = self._sessions.find_by_id(row["session_id"])
        return session.session_id if session else None
