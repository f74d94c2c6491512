"""What is known of a call without understanding its bodies: times, outcome, sizes and digests."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from capture.exchange import (
    Exchange,
    Outcome,
    RequestHead,
    WholeBody,
    datetime_from_id,
    datetime_from_ns,
)
from capture.parsing.parsed_call import (
    ParsedCall,
    header_value,
    is_fetch,
    provider_of,
    request_sha256,
    request_size,
)
from capture.wire import registry
from capture.wire.binaries.references import StoredText
from capture.wire.formats import raw
from capture.wire.json.lenient import clean
from capture.wire.types import ParsedRequest, ParsedResponse, WireFormat

MAX_ERROR = 2000  # characters
DAMAGED = "some of this call's records in the spool were damaged"

STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream")


def parse_raw_facts(exchange: Exchange, *notes: str) -> ParsedCall:
    """Returns the call as it is recorded when its bodies cannot be understood; `notes` say why.
    Takes the time that hashing the bodies takes, and leaves `exchange` as it is."""
    request, response = exchange.request, exchange.response
    refusal = request.refusal if request else None
    wire_format = _wire_format(request)
    whole = exchange.whole_response or WholeBody.of(exchange.pieces)
    outcome = outcome_of(exchange, ParsedResponse())
    return ParsedCall(
        action_id=exchange.action_id,
        request=request,
        response_head=response,
        wire_format=wire_format,
        parsed_request=ParsedRequest(model_id=refusal.model if refusal else None),
        parsed_response=ParsedResponse(),
        timestamp=timestamp_of(exchange),
        outcome=outcome,
        error_detail=error_detail(exchange, ParsedResponse(), outcome),
        streaming=is_stream(exchange),
        latency_ms=latency_ms(exchange),
        first_byte_ms=first_byte_ms(exchange),
        frame=None,
        request_sha256=request_sha256(exchange),
        request_bytes=request_size(exchange),
        response=StoredText(b""),
        response_bytes=whole.size,
        response_sha256=whole.sha256,
        parent_action_id=parent_of(exchange),
        provider=provider_of(request, response, wire_format),
        is_fetch=is_fetch(request),
        notes=[*damage_notes(exchange), *notes],
    )


def _wire_format(request: RequestHead | None) -> WireFormat:
    """Returns `raw` also for a format that only another version of AgentLedger knows."""
    try:
        return registry.by_name(request.wire_format if request else raw.NAME)
    except KeyError:
        return registry.by_name(raw.NAME)


def timestamp_of(exchange: Exchange) -> datetime:
    """Returns when the request was complete; by the call's id, if the request was lost."""
    if exchange.request is None:
        return datetime_from_id(exchange.action_id)
    return datetime_from_ns(exchange.request.started_ns)


def damage_notes(exchange: Exchange) -> list[str]:
    return [DAMAGED] if exchange.is_damaged else []


CUT_SHORT = {
    Outcome.INTERRUPTED: "AgentLedger stopped before the response was complete",
    Outcome.CLIENT_LEFT: "the agent disconnected before the response was complete",
    Outcome.UPSTREAM_CUT: "the upstream closed the connection before the response was complete",
}


def outcome_of(exchange: Exchange, parsed_response: ParsedResponse) -> Outcome:
    """A response that is complete by its wire format counts as complete, even if the connection
    ended early: many agents disconnect when they have seen the last event."""
    outcome = exchange.end.outcome if exchange.end else Outcome.INTERRUPTED
    if outcome in CUT_SHORT and parsed_response.complete and exchange.piece_times_ns:
        outcome = Outcome.COMPLETED
    status = exchange.response.status if exchange.response else 0
    if outcome is Outcome.COMPLETED and (status >= 400 or parsed_response.has_failed):
        return Outcome.UPSTREAM_ERROR
    return outcome


def error_detail(
    exchange: Exchange, parsed_response: ParsedResponse, outcome: Outcome
) -> str | None:
    if outcome is Outcome.COMPLETED:  # an error in the response makes it an UPSTREAM_ERROR
        return None
    # Of a response that was cut short it is not known what would have come.
    came = parsed_response.no_answer if outcome is Outcome.UPSTREAM_ERROR else None
    details = [parsed_response.error or came, CUT_SHORT.get(outcome)]
    if exchange.end is not None:
        is_ours = outcome is Outcome.REFUSED or (
            exchange.response is not None and exchange.response.is_ours
        )
        details = [exchange.end.error] if is_ours else [*details, exchange.end.error]
    texts = [text for text in details if text]
    if not texts:
        return None
    return clean("; ".join(texts))[:MAX_ERROR]


def is_stream(exchange: Exchange) -> bool:
    content_type = header_value(exchange.response, "content-type") or ""
    return content_type.startswith(STREAM_TYPES)


def latency_ms(exchange: Exchange) -> float | None:
    if exchange.end is not None:
        return exchange.end.at_ns / 1e6
    return exchange.piece_times_ns[-1] / 1e6 if exchange.piece_times_ns else None


def first_byte_ms(exchange: Exchange) -> float | None:
    return exchange.piece_times_ns[0] / 1e6 if exchange.piece_times_ns else None


def parent_of(exchange: Exchange) -> UUID | None:
    """Returns the call that the agent named as this one's parent; None also for what is no id."""
    text = exchange.request.ledger.get("parent_action_id") if exchange.request else None
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
