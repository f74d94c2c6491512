"""Prices recorded calls again after a price was corrected. Each change is on record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils.timezone import now

from capture.evidence.leaf import Kind
from capture.ledger.call_rows import TOKEN_COUNTS, cost_parts
from capture.ledger.compression import unpack_text
from capture.ledger.log.append import Log
from capture.ledger.log.records import corrections
from capture.ledger.message_refs import unpack_refs
from capture.ledger.rollup_sums import FACTS
from capture.ledger.rollups import RollupKeyMemory, Rollups
from capture.models import Call, CallBody, Ledger, Message, PriceCorrection, Session
from capture.parsing import tool_charges
from capture.parsing.response_body import parse_decoded
from capture.pricing.call_cost import cost_of, terms_of
from capture.pricing.cost import FETCHED, Cost
from capture.pricing.prices import Prices
from capture.wire import registry
from capture.wire.framing.actual_encoding import actual_content
from capture.wire.limits import DEFAULT
from capture.wire.types import ParsedResponse, Usage

AT_ONCE = 200
# Of one answer: those that bring nothing have no id to be found by.
MAX_FETCHES = 10


@dataclass(frozen=True, slots=True)
class Change:
    call: Call
    cost: Cost


def calls_to_reprice(*, since: datetime | None, model: str | None) -> QuerySet[Call]:
    calls = Call.objects.not_deleted().exclude(price_source=FETCHED)
    if since is not None:
        calls = calls.filter(timestamp__gte=since)
    if model is not None:
        calls = calls.filter(Q(model_id=model) | Q(response_model=model))
    return calls


def find_changes(calls: QuerySet[Call], prices: Prices) -> Iterator[tuple[int, list[Change]]]:
    """Yields pages in the ledger's order: how many calls were priced again, and the changes."""
    last = 0
    while page := list(calls.filter(seq__gt=last).select_related("body").order_by("seq")[:AT_ONCE]):
        last = page[-1].seq
        costs = ((call, _cost(call, prices)) for call in page)
        yield len(page), [Change(call, cost) for call, cost in costs if _differs(call, cost)]


def _differs(call: Call, cost: Cost) -> bool:
    return (call.cost_usd, call.body.cost_parts) != (cost.total_usd, cost_parts(cost))


def _cost(call: Call, prices: Prices) -> Cost:
    parsed_response = parse_response(call)
    is_measured = call.usage_source == "provider"
    if is_measured and (parsed_response.usage is None or parsed_response.is_pending):
        parsed_response = _fetched_response(call) or parsed_response
    usage = parsed_response.usage if is_measured else None
    usage = usage or _usage_of_columns(call, parsed_response.usage)
    if is_measured and usage is not None:
        tool_charges.settle(call.wire_format, usage, lambda: _tools_of(call))
    terms = terms_of(
        call.wire_format,
        parsed_response,
        requested_model=call.model_id,
        response_model=call.response_model,
        provider=call.provider,
        upstream=call.body.heads["upstream"],
        path=call.path,
    )
    return cost_of(prices, usage, terms, at=call.timestamp, outcome=call.outcome)


def parse_response(call: Call) -> ParsedResponse:
    """Parses the stored response again: the ledger's columns have only a part of some usage."""
    headers = dict(call.body.heads["response"] or ())
    text = unpack_text(call.body.response, call.body.response_encoding)
    content = text.data
    if not text.is_decoded:
        limit = DEFAULT.decoded_limit(len(content))
        content = actual_content(content, headers.get("content-encoding"), limit)
    return parse_decoded(
        registry.by_name(call.wire_format),
        content,
        status=call.status_code or 0,
        content_type=headers.get("content-type") or "",
        headers=headers.items(),
    )


def _tools_of(call: Call) -> list[bytes]:
    tools = Message.objects.filter(pk__in=unpack_refs(call.body.part_refs), kind="tools")
    return [unpack_text(one.data, one.encoding).data for one in tools]


def _fetched_response(call: Call) -> ParsedResponse | None:
    """Parses the answer that came later, on another call; None if it is not on record any more."""
    if call.response_id is None:
        return None
    fetches = Call.objects.not_deleted().filter(response_id=call.response_id).exclude(pk=call.pk)
    for fetch in fetches.select_related("body").order_by("seq")[:MAX_FETCHES]:
        parsed_response = parse_response(fetch)
        if parsed_response.usage is not None and not parsed_response.is_pending:
            return parsed_response
    return None


def _usage_of_columns(call: Call, reported: Usage | None) -> Usage | None:
    """Returns the counts that the ledger has, which may be estimates, with the cost that the
    response reported."""
    cost = reported.reported_cost_usd if reported else None
    if call.usage_source == "none":
        return None if cost is None else Usage(reported_cost_usd=cost)
    counts = {name: getattr(call, name) for name in TOKEN_COUNTS}
    return Usage(**counts, units=call.body.units or {}, reported_cost_usd=cost)


def apply_changes(page: list[Change]) -> None:
    """Applies a page of changes in one transaction, under the ledger's lock: the recorder adds to
    the same totals."""
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        rollups = Rollups(ledger, RollupKeyMemory())
        log = Log(ledger)
        at = now()
        ids = [change.call.pk for change in page]
        remaining = set(Call.objects.filter(pk__in=ids).values_list("pk", flat=True))
        page = [change for change in page if change.call.pk in remaining]  # others were deleted
        for change in page:
            _apply(change, rollups, log, at=at)
        for session_id in {c.call.session_id for c in page if c.call.session_id is not None}:
            left = Call.objects.in_session(session_id)
            found = left.aggregate(total=Sum("cost_usd"))
            Session.objects.filter(pk=session_id).update(
                total_cost_usd=found["total"], revision=F("revision") + 1
            )
        rollups.write()
        log.write()
        ledger.save()


def _apply(change: Change, rollups: Rollups, log: Log, *, at: datetime) -> None:
    call, cost = change.call, change.cost
    PriceCorrection.objects.create(
        call=call,
        corrected_at=at,
        old_cost_usd=call.cost_usd,
        new_cost_usd=cost.total_usd,
        old_price_source=call.price_source,
        new_price_source=cost.source,
    )
    rollups.correct(
        {name: getattr(call, name) for name in FACTS},
        (call.cost_usd, call.cache_savings_usd),
        (cost.total_usd, cost.cache_savings_usd),
    )
    new = {
        "cost_usd": cost.total_usd,
        "cache_savings_usd": cost.cache_savings_usd,
        "price_source": cost.source,
    }
    if call.log_index is not None:
        old = {name: getattr(call, name) for name in new}
        facts = {"index": call.log_index, "reason": "price", **corrections(old, new)}
        log.add(Kind.CORRECTION, facts, about=call.pk)
    Call.objects.filter(pk=call.pk).update(**new)
    CallBody.objects.filter(pk=call.pk).update(cost_parts=cost_parts(cost))


def cost_difference(page: list[Change]) -> Decimal:
    """Returns how much more the calls cost now, in USD, with unknown costs taken as 0."""
    zero = Decimal(0)
    return sum(((c.cost.total_usd or zero) - (c.call.cost_usd or zero) for c in page), zero)
