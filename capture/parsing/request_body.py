"""Parses the body of a request, and takes it apart into what the ledger stores: parts that are
stored once in their scope, and a frame around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from capture.exchange import RequestHead
from capture.parsing.parsed_call import StoredPart, header_value, is_fetch
from capture.wire.binaries import finder
from capture.wire.binaries.references import (
    EmbeddedBinary,
    ReferencingText,
    StoredText,
    insert_references,
)
from capture.wire.framing import multipart
from capture.wire.framing.content_encoding import decode
from capture.wire.json.lenient import clean
from capture.wire.shared.slices import join_parts, make_frame
from capture.wire.types import ParsedRequest, WireFormat

MAX_DECODED = 256 * 1024 * 1024


class StoredRequest(NamedTuple):
    parsed: ParsedRequest
    parts: Sequence[StoredPart]
    prompt: StoredPart | None  # the text of the system prompt
    frame: StoredText | None  # None: the body was lost
    frame_is_whole: bool  # the frame is the whole body, not what is left without its parts
    binaries: list[EmbeddedBinary]
    note: str | None


def parse_request_body(
    wire_format: WireFormat, request: RequestHead | None, body: bytes | None, *, exact: bool
) -> StoredRequest:
    """With `exact`, only those binaries are replaced that give the same bytes again."""
    parsed, decoded, text, note = _parse(wire_format, request, body, exact=exact)
    parts: list[StoredPart]
    if text.references:
        parts = [StoredPart.from_referring(part, text, decoded) for part in parsed.parts]
    else:
        parts = [StoredPart.from_bytes(p.kind, decoded[p.start : p.end]) for p in parsed.parts]
    frame, is_whole = _frame(body, decoded, text, parsed, parts, exact=exact)
    prompt = clean(parsed.system_prompt) if parsed.system_prompt else None
    return StoredRequest(
        parsed,
        parts,
        StoredPart.from_bytes("prompt", prompt.encode()) if prompt else None,
        frame,
        is_whole,
        text.binaries,
        note,
    )


def _parse(
    wire_format: WireFormat, request: RequestHead | None, body: bytes | None, *, exact: bool
) -> tuple[ParsedRequest, bytes, ReferencingText, str | None]:
    """Returns the parsed request, the body without its content-encoding, the text that replaces
    this body (its binaries are references; the parsed parts are ranges of it), and a note."""
    if body is None:
        return ParsedRequest(), b"", insert_references(b"", ()), "the request's body was lost"
    if is_fetch(request):
        return ParsedRequest(), body, insert_references(body, ()), None
    refusal = request.refusal if request else None
    if request and refusal and len(body) < request.body_size:
        sizes = f"{len(body):,} of a refused call's {request.body_size:,} bytes"
        note = f"only the first {sizes} are stored"
        return ParsedRequest(model_id=refusal.model), b"", insert_references(b"", ()), note
    if refusal and refusal.n_calls > 1:  # the calls of a flood have no body in common
        return ParsedRequest(model_id=refusal.model), b"", insert_references(b"", ()), None
    encoding = header_value(request, "content-encoding")
    path = request.path if request else ""
    content_type = header_value(request, "content-type") or ""
    decoding_note = None
    if encoding:
        decoded = decode([body], encoding, MAX_DECODED)
        body, decoding_note = decoded.body, decoded.note
    text = finder.reference_binaries(body, content_type, exact=exact)
    # The wire formats recognize the files of a form by their own bytes.
    readable = body if multipart.is_multipart(body, content_type) else text.text
    parsed = wire_format.parse_request(readable, path=path, content_type=content_type)
    return parsed, body, text, decoding_note


def _frame(
    body: bytes | None,
    decoded: bytes,
    text: ReferencingText,
    parsed: ParsedRequest,
    parts: list[StoredPart],
    *,
    exact: bool,
) -> tuple[StoredText | None, bool]:
    """Returns the request without its parts and False, or all of it and True where the parts and
    the frame would not give the same bytes again."""
    if body is None:
        return None, True
    if body is not decoded:  # compressed again, it would be other bytes
        if exact or not text.references:
            return StoredText(body), True
        return StoredText(text.text, text.references, is_decoded=True), True
    # A frame keeps no references.
    n_in_parts = sum(len(part.references) for part in parts) if text.references else 0
    if parts and n_in_parts == len(text.references):
        frame = make_frame(text.text, parsed.parts)
        if join_parts(frame, [part.data for part in parts]) == text.text:
            return StoredText(frame), False
    return StoredText(text.text, text.references), True
