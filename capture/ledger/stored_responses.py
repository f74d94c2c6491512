"""An answer that the provider keeps may come several times: by the call that asked for it, by those
that fetch it again or resume its stream. It is counted once."""

from __future__ import annotations

from collections import defaultdict
from typing import cast
from uuid import UUID

from django.db.models import F
from django.utils.timezone import now

from capture.ledger.bulk_sql import Row
from capture.ledger.call_rows import TOKEN_COUNTS, cost_parts
from capture.ledger.rollup_sums import FACTS
from capture.ledger.rollups import Rollups
from capture.ledger.spend import Spending
from capture.models import Call, CallBody, PriceCorrection, Session
from capture.parsing.parse import UnderstoodCall
from capture.pricing.cost import FETCHED, ZERO, Cost

_TOTALS = ("tokens_in", "tokens_out", "cost_usd")
_NAMES = {"action_id", "session_id", "ingest_token"}
_FACTS = {*_NAMES, "usage_source", "price_source", *_TOTALS, *FACTS}


class Once:
    """Of one batch of the recorder's, under the ledger's lock."""

    def __init__(self, sessions: dict[str, Session], spending: Spending, rollups: Rollups) -> None:
        self._sessions = sessions
        self._spending = spending
        self._rollups = rollups
        # Of this batch: a call's rows by the id of the response, and those of bodies by the call's.
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._bodies: dict[UUID, Row] = {}

    def learn(self, row: Row, body: Row) -> None:
        if row["response_id"]:
            self._rows[row["response_id"]].append(row)
            self._bodies[row["action_id"]] = body

    def count(self, call: UnderstoodCall) -> UUID | None:
        """Makes a fetch cost nothing if its answer was counted before, or has no usage yet; takes
        back the estimate of a call that this one tells the truth about. Returns the first call that
        the answer was for."""
        if not call.is_fetch:
            return None
        id_ = call.parsed_response.response_id
        earlier: list[Row] = []
        if id_:
            stored = Call.objects.not_deleted().filter(response_id=id_).order_by("seq")
            facts = stored.values(*_FACTS, session_name=F("session__session_id"))
            earlier = [*facts, *self._rows.get(id_, ())]
        if call.usage_source != "provider" or any(r["usage_source"] == "provider" for r in earlier):
            call.usage, call.usage_source, call.cost = None, "none", Cost.fetched()
        else:
            for row in earlier:
                if row["usage_source"] == "estimated":
                    self._take_back(row)
        return earlier[0]["action_id"] if earlier else None

    def _take_back(self, row: Row) -> None:
        if row["session_id"] is not None:
            self._take_from_session(row)
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
        of_batch = self._sessions.values()
        return next((s.session_id for s in of_batch if s.id == row["session_id"]), None)

    def _take_from_session(self, row: Row) -> None:
        totals = {f"total_{name}": row[name] or 0 for name in _TOTALS}
        for session in self._sessions.values():
            if session.id == row["session_id"]:
                for name, value in totals.items():
                    setattr(session, name, (getattr(session, name) or 0) - value)
                session.revision += 1
                return
        changes = {name: F(name) - value for name, value in totals.items()}
        changes["revision"] = F("revision") + 1
        Session.objects.filter(pk=row["session_id"]).update(**changes)
