"""Parses an exchange into what the ledger keeps of it. There is no database here: the same bytes
always give an equal parsed call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress

from capture.exchange import Exchange, Outcome, WholeBody
from capture.parsing import tool_charges, usage_estimate
from capture.parsing.guard import Guard, Stopped, unguarded
from capture.parsing.parsed_call import (
    ParsedCall,
    StoredPart,
    is_fetch,
    provider_of,
    request_sha256,
    request_size,
)
from capture.parsing.raw_facts import (
    CUT_SHORT,
    damage_notes,
    error_detail,
    first_byte_ms,
    is_stream,
    latency_ms,
    outcome_of,
    parent_of,
    timestamp_of,
)
from capture.parsing.request_body import StoredRequest, parse_request_body
from capture.parsing.response_body import parse_response_body
from capture.wire import registry
from capture.wire.formats import batch_results
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.limits import DEFAULT, Limits
from capture.wire.shared.choices import join_split_answer
from capture.wire.types import ParsedRequest, ParsedResponse, Usage, WireFormat


def parse_call(
    exchange: Exchange,
    *,
    keep_binaries: bool = False,
    limits: Limits = DEFAULT,
    guard: Guard = unguarded,
) -> ParsedCall:
    """With `keep_binaries`, those binaries of the request are left in its text that could not be
    put back byte for byte. A side of the call that is above a limit, or that the guard stops, is
    kept raw. Empties `exchange.pieces`."""
    request = exchange.request
    wire_format = registry.by_name(request.wire_format if request else "raw")
    request_body = parse_request_body(
        wire_format, exchange, exact=keep_binaries, limits=limits, guard=guard
    )
    response_body = parse_response_body(wire_format, exchange, limits=limits, guard=guard)
    parsed_request, parsed_response = request_body.parsed, response_body.parsed
    if parsed_response.choices and wire_format.NAME == openai_chat.NAME:
        join_split_answer(parsed_request, parsed_response)
    outcome = outcome_of(exchange, parsed_response)
    usage, usage_source = _find_usage(
        wire_format, exchange, request_body, parsed_response, outcome, guard
    )
    whole = exchange.whole_response or WholeBody.of([response_body.raw])
    binaries = [*request_body.binaries, *response_body.binaries]
    return ParsedCall(
        action_id=exchange.action_id,
        request=request,
        response_head=exchange.response,
        wire_format=wire_format,
        parsed_request=parsed_request,
        parsed_response=parsed_response,
        timestamp=timestamp_of(exchange),
        outcome=outcome,
        error_detail=error_detail(exchange, parsed_response, outcome),
        streaming=parsed_request.stream or is_stream(exchange),
        latency_ms=latency_ms(exchange),
        ttft_ms=_ttft_ms(exchange, parsed_response, response_body.piece_ends),
        first_byte_ms=first_byte_ms(exchange),
        parts=request_body.parts,
        prompt=request_body.prompt,
        frame=request_body.frame,
        frame_is_whole=request_body.frame_is_whole,
        request_sha256=request_sha256(exchange),
        request_bytes=request_size(exchange),
        response=response_body.stored,
        response_bytes=whole.size,
        response_sha256=whole.sha256,
        usage=usage,
        usage_source=usage_source,
        binaries={binary.digest: binary for binary in binaries},
        parent_action_id=parent_of(exchange),
        provider=provider_of(request, exchange.response, wire_format),
        is_fetch=is_fetch(request),
        notes=[*damage_notes(exchange), *request_body.notes(), *response_body.notes],
    )


def _find_usage(
    wire_format: WireFormat,
    exchange: Exchange,
    request_body: StoredRequest,
    parsed_response: ParsedResponse,
    outcome: Outcome,
    guard: Guard,
) -> tuple[Usage | None, str]:
    # What a response has used so far is not what it will cost, and of the results of a batch all or
    # none are counted.
    is_cut = parsed_response.is_raw or outcome in CUT_SHORT
    if parsed_response.is_pending or (is_cut and wire_format.NAME in batch_results.NAMES):
        return None, "none"
    usage, source = parsed_response.usage, "provider"
    if usage is None or usage.tokens_in is None or usage.tokens_out is None:
        usage, source = None, "none"
        with suppress(Stopped), guard():  # to estimate what is missing takes its time
            usage, source = _usage(
                wire_format, request_body.parsed, request_body.parts, parsed_response, outcome
            )
    if usage is not None and usage.units:
        tool_charges.settle(wire_format.NAME, usage, request_body.tools)
    if source == "estimated" and is_fetch(exchange.request):
        return None, "none"  # it belongs to the call that began the response
    return usage, source


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
    is_whole = not (parsed_request.is_raw or parsed_response.is_raw)
    if is_whole and wire_format.NAME in usage_estimate.FORMATS and outcome is not Outcome.REFUSED:
        request_parts = ((part.kind, part.data) for part in parts)
        usage, is_estimated = usage_estimate.complete_usage(usage, request_parts, parsed_response)
        if is_estimated:
            return usage, "estimated"
    if usage is None:
        return None, "none"
    return usage, "provider" if usage.is_known else "none"


def _ttft_ms(
    exchange: Exchange, parsed_response: ParsedResponse, piece_ends: list[int]
) -> float | None:
    """Returns when the piece arrived that completed the first content of a stream."""
    if parsed_response.first_content_end is None or not piece_ends:
        return None
    index = bisect_right(piece_ends, parsed_response.first_content_end - 1)
    return exchange.piece_times_ns[min(index, len(piece_ends) - 1)] / 1e6
