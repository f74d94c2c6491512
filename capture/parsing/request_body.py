"""Parses the body of a request, and takes it apart into what the ledger stores: parts that are
stored once in their scope, and a frame around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from capture.exchange import Exchange, RequestHead
from capture.parsing.guard import Guard, Stopped
from capture.parsing.marks import cut_part, insert_marks, marks_of
from capture.parsing.parsed_call import StoredPart, header_value, is_fetch
from capture.parsing.small_fields import parse_small_request
from capture.wire.binaries import finder
from capture.wire.binaries.references import (
    EmbeddedBinary,
    ReferencingText,
    StoredText,
)
from capture.wire.framing import multipart
from capture.wire.framing.actual_encoding import decode_actual
from capture.wire.framing.content_encoding import DecodedBody
from capture.wire.json.lenient import clean
from capture.wire.limits import MAX_PARTS, Limits, TooMuch, check
from capture.wire.shared.markers import Cut, find_markers
from capture.wire.shared.slices import join_parts, make_frame
from capture.wire.types import ParsedRequest, WireFormat


class StoredRequest(NamedTuple):
    parsed: ParsedRequest
    parts: Sequence[StoredPart]
    prompt: StoredPart | None  # the text of the system prompt
    frame: StoredText | None  # None: the body was lost
    frame_is_whole: bool  # the frame is the whole body, not what is left without its parts
    binaries: list[EmbeddedBinary]
    note: str | None

    def tools(self) -> list[bytes]:
        return [part.data for part in self.parts if part.kind == "tools"]

    def notes(self) -> list[str]:
        return [note for note in (self.note, self.parsed.note) if note]


def parse_request_body(
    wire_format: WireFormat, exchange: Exchange, *, exact: bool, limits: Limits, guard: Guard
) -> StoredRequest:
    """With `exact`, only those binaries are replaced that give the same bytes again. A body that is
    above a limit is stored as it came."""
    request, body = exchange.request, exchange.body
    if body is None:
        return _without_body(ParsedRequest(), "the request's body was lost", frame=None)
    refusal = request.refusal if request else None
    if request and refusal and len(body) < request.body_size:
        sizes = f"{len(body):,} of a refused call's {request.body_size:,} bytes"
        note = f"only the first {sizes} are stored"
        return _without_body(ParsedRequest(model_id=refusal.model), note, frame=StoredText(body))
    if is_fetch(request):
        return _without_body(ParsedRequest(), None, frame=StoredText(body))
    if refusal and refusal.n_calls > 1:  # the calls of a flood have no body in common
        nothing = ParsedRequest(model_id=refusal.model)
        return _without_body(nothing, None, frame=StoredText(body))
    decoded = DecodedBody(body, [])
    try:
        with guard():
            decoded = _decode(exchange, body, limits)
            return _understand(wire_format, request, body, decoded, exact=exact)
    except (TooMuch, Stopped, RecursionError, MemoryError) as reason:
        note = f"the request is recorded raw: {reason or type(reason).__name__}"
    path = request.path if request else ""
    parsed = parse_small_request(wire_format, decoded.body, path=path)
    parsed.model_id = parsed.model_id or (refusal.model if refusal else None)
    return _without_body(parsed, note, frame=StoredText(body))


def _without_body(
    parsed: ParsedRequest, note: str | None, *, frame: StoredText | None
) -> StoredRequest:
    """Returns a request whose body is stored as it came, if at all."""
    return StoredRequest(parsed, [], None, frame, True, [], note)


def _decode(exchange: Exchange, body: bytes, limits: Limits) -> DecodedBody:
    """Raises TooMuch."""
    if exchange.whole_body is not None or len(body) > limits.max_decoded:
        raise limits.too_long()
    declared = header_value(exchange.request, "content-encoding")
    decoded = decode_actual([body], declared, limits.decoded_limit(len(body)))
    if decoded is None:
        return DecodedBody(body, [])
    if decoded.is_over:
        raise limits.too_large(len(body))
    return decoded


def _understand(
    wire_format: WireFormat,
    request: RequestHead | None,
    body: bytes,
    decoded: DecodedBody,
    *,
    exact: bool,
) -> StoredRequest:
    content_type = header_value(request, "content-type") or ""
    text = finder.reference_binaries(decoded.body, content_type, exact=exact)
    # The wire formats recognize the files of a form by their own bytes.
    is_form = multipart.is_multipart(decoded.body, content_type)
    parsed = wire_format.parse_request(
        decoded.body if is_form else text.text,
        path=request.path if request else "",
        content_type=content_type,
    )
    check(len(parsed.parts), MAX_PARTS, "messages")
    cuts = find_markers(text.text, parsed.parts)
    parts = [
        cut_part(part, cuts.get(index, ()), text, decoded.body)
        if text.references or index in cuts
        else StoredPart.from_bytes(part.kind, text.text[part.start : part.end])
        for index, part in enumerate(parsed.parts)
    ]
    frame, is_whole = _frame(body, decoded.body, text, parsed, parts, cuts, exact=exact)
    prompt = clean(parsed.system_prompt) if parsed.system_prompt else None
    return StoredRequest(
        parsed,
        parts,
        StoredPart.from_bytes("prompt", prompt.encode()) if prompt else None,
        frame,
        is_whole,
        text.binaries,
        decoded.note,
    )


def _frame(
    body: bytes,
    decoded: bytes,
    text: ReferencingText,
    parsed: ParsedRequest,
    parts: list[StoredPart],
    cuts: Mapping[int, Sequence[Cut]],
    *,
    exact: bool,
) -> tuple[StoredText, bool]:
    """Returns the request without its parts and False, or all of it and True where the parts and
    the frame would not give the same bytes again."""
    if body is not decoded:  # compressed again, it would be other bytes
        if exact or not text.references:
            return StoredText(body), True
        return StoredText(text.text, text.references, is_decoded=True), True
    # A frame keeps no references.
    n_in_parts = sum(len(part.references) for part in parts) if text.references else 0
    if parts and n_in_parts == len(text.references):
        frame = make_frame(text.text, parsed.parts)
        marks = [
            mark
            for index, some in cuts.items()
            for mark in marks_of(index, parsed.parts[index], some, text.text)
        ]
        sent = [part.data for part in parts]
        if marks:
            stored = [StoredText(part.data, part.references) for part in parts]
            sent = [part.data for part in insert_marks(stored, marks)]
        if join_parts(frame, sent) == text.text:
            return StoredText(frame, marks=marks), False
    return StoredText(text.text, text.references), True
