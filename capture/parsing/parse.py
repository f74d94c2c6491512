"""Parses an exchange into what the ledger keeps of it. There is no database here: the same bytes
always give an equal parsed call."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from capture.exchange import Exchange, Outcome, datetime_from_id, datetime_from_ns
from capture.parsing import usage_estimate
from capture.parsing.parsed_call import ParsedCall, StoredPart, is_fetch
from capture.parsing.request_body import parse_request_body, request_sha256, request_size
from capture.parsing.response_body import parse_response_body
from capture.wire import registry
from capture.wire.json.lenient import clean
from capture.wire.types import ParsedRequest, ParsedResponse, Usage, WireFormat

MAX_ERROR = 2000  # characters


def parse_call(exchange: Exchange, *, keep_binaries: bool = False) -> ParsedCall:
    """With `keep_binaries`, those binaries of the request are left in its text that could not be
    put back byte for byte. Empties `exchange.pieces`."""
    request = exchange.request
    wire_format = registry.by_name(request.wire_format if request else "raw")
    request_body = parse_request_body(wire_format, request, exchange.body, exact=keep_binaries)
    response_body = parse_response_body(wire_format, exchange)
    parsed_request, parsed_response = request_body.parsed, response_body.parsed
    outcome = _outcome(exchange, parsed_response)
    usage, usage_source = _usage(
        wire_format, parsed_request, request_body.parts, parsed_response, outcome
    )
    if usage_source == "estimated" and is_fetch(request):
        usage, usage_source = None, "none"  # it belongs to the call that began the response
    binaries = [*request_body.binaries, *response_body.binaries]
    notes = _notes(exchange, request_body.note, parsed_request.note)
    return ParsedCall(
        action_id=exchange.action_id,
        request=request,
        response_head=exchange.response,
        wire_format=wire_format,
        parsed_request=parsed_request,
        parsed_response=parsed_response,
        timestamp=_timestamp(exchange),
        outcome=outcome,
        error_detail=_error_detail(exchange, parsed_response, outcome),
        streaming=parsed_request.stream or response_body.is_stream,
        latency_ms=_latency_ms(exchange),
        ttft_ms=_ttft_ms(exchange, parsed_response, response_body.piece_ends),
        first_byte_ms=exchange.piece_times_ns[0] / 1e6 if exchange.piece_times_ns else None,
        parts=request_body.parts,
        prompt=request_body.prompt,
        frame=request_body.frame,
        frame_is_whole=request_body.frame_is_whole,
        request_sha256=request_sha256(request, exchange.body),
        request_bytes=request_size(request, exchange.body),
        response=response_body.stored,
        response_bytes=len(response_body.raw),
        response_sha256=hashlib.sha256(response_body.raw).hexdigest(),
        usage=usage,
        usage_source=usage_source,
        binaries={binary.digest: binary for binary in binaries},
        parent_action_id=_uuid(request.ledger.get("parent_action_id")) if request else None,
        notes=[*notes, *response_body.notes],
    )


def _timestamp(exchange: Exchange) -> datetime:
    """Returns when the request was complete; by the call's id, if the request was lost."""
    if exchange.request is None:
        return datetime_from_id(exchange.action_id)
    return datetime_from_ns(exchange.request.started_ns)


def _notes(exchange: Exchange, *of_request: str | None) -> list[str]:
    damage = (
        "some of this call's records in the spool were damaged" if exchange.is_damaged else None
    )
    return [note for note in (damage, *of_request) if note]


_CUT_SHORT = {
    Outcome.INTERRUPTED: "AgentLedger stopped before the response was complete",
    Outcome.CLIENT_LEFT: "the agent disconnected before the response was complete",
    Outcome.UPSTREAM_CUT: "the upstream closed the connection before the response was complete",
}


def _outcome(exchange: Exchange, parsed_response: ParsedResponse) -> Outcome:
    """A response that is complete by its wire format counts as complete, even if the connection
    ended early: many agents disconnect when they have seen the last event."""
    outcome = Outcome(exchange.end.outcome) if exchange.end else Outcome.INTERRUPTED
    if (
        outcome is not Outcome.COMPLETED
        and outcome in _CUT_SHORT
        and parsed_response.complete
        and exchange.piece_times_ns
    ):
        outcome = Outcome.COMPLETED
    status = exchange.response.status if exchange.response else 0
    if outcome is Outcome.COMPLETED and (status >= 400 or parsed_response.error is not None):
        return Outcome.UPSTREAM_ERROR
    return outcome


def _error_detail(
    exchange: Exchange, parsed_response: ParsedResponse, outcome: Outcome
) -> str | None:
    if outcome is Outcome.COMPLETED:  # an error in the response makes it an UPSTREAM_ERROR
        return None
    details = [parsed_response.error, _CUT_SHORT.get(outcome)]
    if exchange.end is not None:
        is_ours = outcome is Outcome.REFUSED or (
            exchange.response is not None and exchange.response.is_ours
        )
        details = [exchange.end.error] if is_ours else [*details, exchange.end.error]
    texts = [text for text in details if text]
    if not texts:
        return None
    return clean("; ".join(texts))[:MAX_ERROR]


def _usage(
    wire_format: WireFormat,
    parsed_request: ParsedRequest,
    parts: Sequence[StoredPart],
    parsed_response: ParsedResponse,
    outcome: Outcome,
) -> tuple[Usage | None, str]:
    """Returns the usage, and its source: provider, estimated or none."""
    usage = parsed_response.usage
    if usage is None and parsed_request.units and outcome is Outcome.COMPLETED:
        return Usage(units=dict(parsed_request.units)), "estimated"  # speech is billed by its text
    if wire_format.NAME in usage_estimate.FORMATS and outcome is not Outcome.REFUSED:
        request_parts = ((part.kind, part.data) for part in parts)
        usage, is_estimated = usage_estimate.complete_usage(usage, request_parts, parsed_response)
        if is_estimated:
            return usage, "estimated"
    counts = (usage.tokens_in, usage.tokens_out, *usage.units.values()) if usage else ()
    return usage, "none" if all(n is None for n in counts) else "provider"


def _latency_ms(exchange: Exchange) -> float | None:
    if exchange.end is not None:
        return exchange.end.at_ns / 1e6
    return exchange.piece_times_ns[-1] / 1e6 if exchange.piece_times_ns else None


def _ttft_ms(
    exchange: Exchange, parsed_response: ParsedResponse, piece_ends: list[int]
) -> float | None:
    """Returns when the piece arrived that completed the first content of a stream."""
    if parsed_response.first_content_end is None or not piece_ends:
        return None
    index = bisect_right(piece_ends, parsed_response.first_content_end - 1)
    return exchange.piece_times_ns[min(index, len(piece_ends) - 1)] / 1e6


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
