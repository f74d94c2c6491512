"""Parses the body of a response, and makes the text of it that the ledger stores."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from capture.exchange import Exchange
from capture.parsing.guard import Guard, Stopped
from capture.parsing.parsed_call import header_value
from capture.parsing.raw_facts import STREAM_TYPES
from capture.parsing.small_fields import parse_small_response
from capture.wire.binaries import finder
from capture.wire.binaries.references import EmbeddedBinary, ReferencingText, StoredText
from capture.wire.formats.bedrock.usage import usage_from_headers
from capture.wire.framing.actual_encoding import decode_actual
from capture.wire.framing.content_encoding import DecodedBody
from capture.wire.json.lenient import dump
from capture.wire.limits import MAX_USAGE, Limits, TooMuch, check
from capture.wire.shared import reported_cost
from capture.wire.types import ParsedResponse, WireFormat

STORED_DECODED = "the response is stored without its content-encoding, because it contains binaries"


class StoredResponse(NamedTuple):
    parsed: ParsedResponse
    raw: bytes  # as it came, with its content-encoding
    stored: StoredText
    piece_ends: list[int]  # where each piece ends in the body without its content-encoding
    binaries: list[EmbeddedBinary]
    notes: list[str]


def parse_response_body(
    wire_format: WireFormat, exchange: Exchange, *, limits: Limits, guard: Guard
) -> StoredResponse:
    """A body that is above a limit is stored as it came. Empties `exchange.pieces`, so that there
    is only one copy of a long response in memory."""
    raw = b"".join(exchange.pieces)
    decoded = DecodedBody(raw, list(accumulate(map(len, exchange.pieces))))
    declared = header_value(exchange.response, "content-encoding")
    pieces = exchange.pieces[:]
    exchange.pieces.clear()
    try:
        with guard():
            if exchange.whole_response is not None or len(raw) > limits.max_decoded:
                raise limits.too_long()
            decoded = decode_actual(pieces, declared, limits.decoded_limit(len(raw))) or decoded
            pieces.clear()
            if decoded.is_over:
                raise limits.too_large(len(raw))
            return _understand(wire_format, exchange, raw, decoded)
    except (TooMuch, Stopped, RecursionError, MemoryError) as reason:
        note = raw_note(reason)
        pieces.clear()
    parsed = _parse_small(wire_format, exchange, decoded.body)
    return StoredResponse(parsed, raw, StoredText(raw), decoded.piece_ends, [], [note])


def raw_note(reason: BaseException) -> str:
    return f"the response is recorded raw: {reason or type(reason).__name__}"


def _understand(
    wire_format: WireFormat, exchange: Exchange, raw: bytes, decoded: DecodedBody
) -> StoredResponse:
    content_type = header_value(exchange.response, "content-type") or ""
    text = finder.reference_binaries(decoded.body, content_type)
    if exchange.response is None and not raw:
        parsed = ParsedResponse()
    else:
        parsed = _parse(wire_format, exchange, text, content_type)
    if parsed.usage is not None and len(decoded.body) > MAX_USAGE:
        check(len(dump(parsed.usage.raw)), MAX_USAGE, "bytes of usage")
    notes = [note for note in (decoded.note, parsed.note) if note]
    if decoded.note is not None:
        parsed.no_answer = None  # it may be in what was not decoded
    if not text.references:
        stored = StoredText(raw)
    else:
        stored = StoredText(text.text, text.references, is_decoded=raw != decoded.body)
        notes += [STORED_DECODED] if stored.is_decoded else []
    return StoredResponse(parsed, raw, stored, decoded.piece_ends, text.binaries, notes)


def _parse(
    wire_format: WireFormat, exchange: Exchange, text: ReferencingText, content_type: str
) -> ParsedResponse:
    status = exchange.response.status if exchange.response else 0
    headers = exchange.response.headers if exchange.response else ()
    parsed = parse_decoded(
        wire_format, text.text, status=status, content_type=content_type, headers=headers
    )
    if parsed.first_content_end is not None:
        parsed.first_content_end = text.original_offset(parsed.first_content_end)
    return parsed


def _parse_small(wire_format: WireFormat, exchange: Exchange, body: bytes) -> ParsedResponse:
    status = exchange.response.status if exchange.response else 0
    content_type = header_value(exchange.response, "content-type") or ""
    parsed = parse_small_response(wire_format, body, status=status, content_type=content_type)
    _add_from_headers(parsed, exchange.response.headers if exchange.response else ())
    return parsed


def parse_decoded(
    wire_format: WireFormat,
    body: bytes,
    *,
    status: int,
    content_type: str,
    headers: Iterable[tuple[str, str | None]],
) -> ParsedResponse:
    """Parses a body without its content-encoding; of one that is above a limit, what is cheaply
    known. The headers may have the usage, or the cost, where the body has none."""
    try:
        parsed = wire_format.parse_response(body, status=status, content_type=content_type)
    except TooMuch as reason:
        parsed = parse_small_response(wire_format, body, status=status, content_type=content_type)
        parsed.note = raw_note(reason)
    _add_from_headers(parsed, headers)
    return parsed


def _add_from_headers(parsed: ParsedResponse, headers: Iterable[tuple[str, str | None]]) -> None:
    known = {name: value for name, value in headers if value is not None}
    if parsed.usage is None:
        parsed.usage = usage_from_headers(known)
    is_stream = known.get("content-type", "").lower().startswith(STREAM_TYPES)
    reported_cost.add_header_cost(parsed, known, is_stream=is_stream)
    parsed.is_from_cache = reported_cost.is_from_cache(known)
