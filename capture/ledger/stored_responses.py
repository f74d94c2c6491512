"""Counts a response once where several calls bring it: the call that asked for it, and those that
poll for it, fetch it again, resume its stream or cancel it.

Its usage and its cost stand on the call that asked, whenever the usage comes. If that call is not
on record, they stand on the first fetch that brought them.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import cast
from uuid import UUID

from django.db.models import F
from django.utils.timezone import now

from capture.evidence.leaf import Kind
from capture.ledger.bulk_sql import Row
from capture.ledger.call_rows import CHARGED, CHARGED_NOTE, cost_parts, token_counts, units
from capture.ledger.entry import Entry
from capture.ledger.log.append import Log
from capture.ledger.log.records import CORRECTED, corrections
from capture.ledger.rollup_sums import COUNTED
from capture.ledger.rollups import Rollups
from capture.ledger.sessions import SessionRows
from capture.ledger.spend import Spending
from capture.models import NAME_LENGTH, Call, CallBody, PriceCorrection
from capture.parsing.parsed_call import ParsedCall
from capture.pricing.call_cost import cost_of_call
from capture.pricing.cost import Cost
from capture.wire.registry import find_fetch
from capture.wire.types import ParsedRequest

_OF_CALL = ("path", "fetch_of", "ingest_token", "response_model", "usage_source", "price_source")
_FACTS = {*_OF_CALL, "log_index", *CORRECTED, *COUNTED}
# The answer to one request is fetched a few times, and what polls bring has no id.
MAX_EARLIER = 100


class FetchedResponses:
    """Counts responses that calls of a batch fetch, under the ledger's lock."""

    def __init__(
        self, sessions: SessionRows, spending: Spending, rollups: Rollups, log: Log
    ) -> None:
        self._log = log
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
        it; else None."""
        if not entry.call.is_fetch:
            return entry, None
        earlier = self._earlier_calls(entry.call.stored_id)
        first = earlier[0] if earlier else None
        is_counted = any(row["usage_source"] == "provider" for row in earlier)
        if entry.call.usage_source != "provider":
            if first is not None or not _is_answer(entry.call):
                entry = entry.without_usage()
        elif is_counted:
            entry = entry.without_usage()
        elif first is not None and find_fetch(first["method"], first["path"]) is None:
            self._credit(first, entry)
            entry = entry.without_usage()
        return entry, first["action_id"] if first else None

    def _earlier_calls(self, response_id: str | None) -> list[Row]:
        if not response_id:
            return []
        id_ = response_id[:NAME_LENGTH]
        recorded = Call.objects.not_deleted().filter(response_id=id_).order_by("seq")
        facts = recorded.values(*_FACTS, session_name=F("session__session_id"))
        return [*facts[:MAX_EARLIER], *self._rows.get(id_, ())]

    def _credit(self, asked: Row, entry: Entry) -> None:
        """Puts the usage and the cost of what `entry` fetched on the call that asked for it, in all
        sums too. Budgets are charged on arrival."""
        cost = _cost_as_asked(asked, entry)
        body = self._body_of(asked["action_id"])
        changes, texts = _changes(asked, entry, cost), _changes_of_body(body, entry, cost)
        before = {**asked}
        if asked["session_id"] is not None:
            self._sessions.correct(before, {**before, **changes})
        self._rollups.take_out(before, 1)
        self._rollups.count({**before, **changes}, 1)
        self._spending.correct(
            before,
            self._session_name(before),
            charged=before["cost_usd"] or _charged(body),
            usd=cost.total_usd,
            at=entry.call.timestamp,
        )
        if before["action_id"] in self._bodies:
            asked.update(changes)
            body.update(texts)
            return
        Call.objects.filter(pk=before["action_id"]).update(**changes)
        CallBody.objects.filter(pk=before["action_id"]).update(**texts)
        if before["log_index"] is not None:
            facts = {"index": before["log_index"], "reason": "fetched"}
            changed = corrections(before, changes)
            self._log.add(Kind.CORRECTION, {**facts, **changed}, about=before["action_id"])
        PriceCorrection.objects.create(
            call_id=before["action_id"],
            corrected_at=now(),
            old_cost_usd=before["cost_usd"],
            new_cost_usd=cost.total_usd,
            old_price_source=before["price_source"],
            new_price_source=changes["price_source"],
        )

    def _body_of(self, action_id: UUID) -> Row:
        own = self._bodies.get(action_id)
        if own is not None:
            return own
        return dict(CallBody.objects.filter(pk=action_id).values("heads", "notes").get())

    def _session_name(self, row: Row) -> str | None:
        if "session_name" in row:
            return cast("str | None", row["session_name"])
        session = self._sessions.find_by_id(row["session_id"])
        return session.session_id if session else None


def _is_answer(call: ParsedCall) -> bool:
    """An answer without usage has an unknown cost; a poll that brought none costs nothing."""
    return not call.parsed_response.is_pending and (call.status or 0) < 400


def _cost_as_asked(asked: Row, entry: Entry) -> Cost:
    """The price is that of the time at which it was asked, and an operator may have a price for the
    name of the model that was asked for."""
    if entry.prices is None:
        return entry.cost
    request = ParsedRequest(model_id=asked["model_id"])
    call = entry.call._replace(timestamp=asked["timestamp"], parsed_request=request)
    return cost_of_call(entry.prices, call)


def _changes(asked: Row, entry: Entry, cost: Cost) -> Row:
    parsed = entry.call.parsed_response
    model = parsed.response_model and parsed.response_model[:NAME_LENGTH]
    tier = parsed.service_tier and parsed.service_tier[:NAME_LENGTH]
    return {
        **token_counts(entry.call.usage),
        "model_id": asked["model_id"] or model,
        "response_model": model or asked["response_model"],
        "service_tier": tier or asked["service_tier"],
        "usage_source": entry.call.usage_source,
        "cost_usd": cost.total_usd,
        "cache_savings_usd": cost.cache_savings_usd,
        "price_source": cost.source[:NAME_LENGTH],
    }


def _changes_of_body(body: Row, entry: Entry, cost: Cost) -> Row:
    usage = entry.call.usage
    notes = [note for note in body["notes"] or () if not note.startswith(CHARGED_NOTE)]
    return {
        "usage": usage.raw or None if usage else None,
        "units": units(usage),
        "cost_parts": cost_parts(cost),
        "notes": notes or None,
        "heads": {name: value for name, value in body["heads"].items() if name != CHARGED},
    }


def _charged(body: Row) -> Decimal | None:
    charged = body["heads"].get(CHARGED)
    return Decimal(charged) if charged else None
