"""Parses the body of a response, and makes the text of it that the ledger stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from capture.exchange import Exchange
from capture.parsing.parsed_call import header_value
from capture.parsing.request_body import MAX_DECODED
from capture.wire.binaries import finder
from capture.wire.binaries.references import EmbeddedBinary, ReferencingText, StoredText
from capture.wire.formats.bedrock.usage import usage_from_headers
from capture.wire.framing.content_encoding import decode
from capture.wire.types import ParsedResponse, WireFormat

STORED_DECODED = "the response is stored without its content-encoding, because it contains binaries"


class StoredResponse(NamedTuple):
    parsed: ParsedResponse
    raw: bytes  # as it came, with its content-encoding
    stored: StoredText
    piece_ends: list[int]  # where each piece ends in the body without its content-encoding
    binaries: list[EmbeddedBinary]
    notes: list[str]


def parse_response_body(wire_format: WireFormat, exchange: Exchange) -> StoredResponse:
    """Empties `exchange.pieces`, so that there is only one copy of a long response in memory."""
    encoding = header_value(exchange.response, "content-encoding")
    content_type = header_value(exchange.response, "content-type") or ""
    decoded = decode(exchange.pieces, encoding, MAX_DECODED)
    raw = b"".join(exchange.pieces) if encoding else decoded.body
    exchange.pieces.clear()
    text = finder.reference_binaries(decoded.body, content_type)
    if exchange.response is None and not raw:
        parsed = ParsedResponse()
    else:
        parsed = _parse(wire_format, exchange, text, content_type)
    notes = [note for note in (decoded.note, parsed.note) if note]
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


def parse_decoded(
    wire_format: WireFormat,
    body: bytes,
    *,
    status: int,
    content_type: str,
    headers: Iterable[tuple[str, str]],
) -> ParsedResponse:
    """Parses a body without its content-encoding. If the body has no usage, the headers may have
    it."""
    parsed = wire_format.parse_response(body, status=status, content_type=content_type)
    if parsed.usage is None:
        parsed.usage = usage_from_headers(dict(headers))
    return parsed
