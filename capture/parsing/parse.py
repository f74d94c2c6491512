"""From an exchange to what the ledger says of it. No database here: the same bytes always give the
same answer."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from capture.exchange import Exchange, Outcome, RequestHead, ResponseHead, at, started_at
from capture.ledger.compression import Text
from capture.parsing import usage_estimate
from capture.parsing.thumbnails import Picture
from capture.pricing.cost import Cost
from capture.wire import registry
from capture.wire.binaries import finder
from capture.wire.binaries.references import Binary, Place, Referring, refer
from capture.wire.framing import multipart
from capture.wire.framing.content_encoding import decode
from capture.wire.json.lenient import clean
from capture.wire.shared.slices import join, split
from capture.wire.shared.usage import in_headers
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    Part,
    ToolResult,
    Usage,
    WireFormat,
)

DEFAULT_ENVIRONMENT = "development"
MAX_DECODED = 256 * 1024 * 1024
MAX_ERROR = 2000  # characters
DIGEST_BYTES = 16
NOT_PRICED = Cost.unknown("it was not priced")


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of the request: its text, where that refers to binaries, and what the bytes that came
    are known by within their scope."""

    kind: str
    data: bytes
    digest: bytes
    places: Sequence[Place] = ()

    @classmethod
    def of(cls, kind: str, data: bytes) -> StoredPart:
        return cls(kind, data, _digest(kind, data))

    @classmethod
    def referring(cls, part: Part, text: Referring, body: bytes) -> StoredPart:
        """`part` is one of the text that stands for the body."""
        came = body[text.before(part.start) : text.before(part.end)]
        data, places = text.text[part.start : part.end], text.places_in(part.start, part.end)
        return cls(part.kind, data, _digest(part.kind, came), places)


def _digest(kind: str, data: bytes) -> bytes:
    return hashlib.sha256(kind.encode() + b"\0" + data).digest()[:DIGEST_BYTES]


@dataclass(slots=True)
class UnderstoodCall:
    """All that the ledger keeps of one call. Fields that the ledger has too are named as there."""

    action_id: UUID
    request: RequestHead | None
    response_head: ResponseHead | None
    wire_format: WireFormat
    parsed_request: ParsedRequest
    parsed_response: ParsedResponse
    timestamp: datetime
    outcome: Outcome
    error_detail: str | None
    streaming: bool
    latency_ms: float | None
    ttft_ms: float | None
    first_byte_ms: float | None
    parts: list[StoredPart]
    prompt: StoredPart | None
    frame: Text | None  # None: the request was lost
    frame_is_whole: bool
    request_sha256: str | None
    request_bytes: int | None
    response: Text
    response_bytes: int
    response_sha256: str
    parent_action_id: UUID | None
    usage: Usage | None
    usage_source: str  # provider | estimated | none
    binaries: dict[bytes, Binary]  # by digest, all that the texts refer to
    notes: list[str] = field(default_factory=list)
    cost: Cost = NOT_PRICED  # set by the recorder, who knows the prices
    pictures: dict[bytes, Picture] = field(default_factory=dict)  # and who has seen them before

    def ledger_field(self, name: str) -> str | None:
        return self.request.ledger.get(name) if self.request else None

    @property
    def environment(self) -> str:
        return self.ledger_field("environment") or DEFAULT_ENVIRONMENT

    @property
    def attempt(self) -> int:
        """From 1 on; the SDKs of OpenAI, Anthropic and Groq count their retries from 0."""
        retries = _header(self.request, "x-stainless-retry-count") or ""
        return 1 + int(retries) if re.fullmatch(r"[0-9]{1,4}", retries) else 1

    @property
    def is_fetch(self) -> bool:
        """It asks for an answer that another call began: a poll, a stream resumed."""
        return _is_fetch(self.request)

    @property
    def n_calls(self) -> int:
        """More than 1 where one record tells of a flood of refused calls."""
        refusal = self.request.refusal if self.request else None
        return refusal.n_calls if refusal else 1

    @property
    def refusal(self) -> dict[str, JSON] | None:
        refusal = self.request.refusal if self.request else None
        if refusal is None:
            return None
        return {"code": refusal.code, "n_calls": refusal.n_calls, **refusal.facts}

    @property
    def is_error(self) -> bool:
        return self.outcome not in (Outcome.COMPLETED, Outcome.REFUSED)

    @property
    def provider(self) -> str:
        """The upstream's maker where its host is known, else the home of the wire format."""
        return (self.request.provider if self.request else None) or self.wire_format.PROVIDER

    def tool_results(self, part: StoredPart) -> list[ToolResult]:
        return self.wire_format.tool_results(part.data) if part.kind == "message" else []


def understand(exchange: Exchange, *, keep_binaries: bool = False) -> UnderstoodCall:
    """With `keep_binaries` a request refers to those binaries alone that give it again byte for
    byte."""
    request, response = exchange.request, exchange.response
    wire_format = registry.by_name(request.wire_format if request else "raw")
    notes = []
    if exchange.damaged:
        notes.append("some of this call's records in the spool were damaged")

    body = exchange.body
    parsed_request, decoded_body, text, note = _asked(
        wire_format, request, body, exact=keep_binaries
    )
    notes += filter(None, (note, parsed_request.note))
    if text.places:
        parts = [StoredPart.referring(part, text, decoded_body) for part in parsed_request.parts]
    else:
        parts = [StoredPart.of(p.kind, decoded_body[p.start : p.end]) for p in parsed_request.parts]
    frame, is_whole = _frame(body, decoded_body, text, parsed_request, parts, exact=keep_binaries)
    prompt = clean(parsed_request.system_prompt) if parsed_request.system_prompt else None
    found = [*text.binaries]

    encoding = _header(response, "content-encoding")
    decoded = decode(exchange.pieces, encoding, MAX_DECODED)
    raw_response = b"".join(exchange.pieces) if encoding else decoded.body
    exchange.pieces.clear()  # of a long answer one copy is enough
    content_type = _header(response, "content-type") or ""
    status = response.status if response else 0
    text = finder.refer_in(decoded.body, content_type)
    found += text.binaries
    if response is None and not raw_response:
        parsed_response = ParsedResponse()
    else:
        parsed_response = wire_format.parse_response(
            text.text, status=status, content_type=content_type
        )
        parsed_response.usage = parsed_response.usage or in_headers(
            dict(response.headers if response else ())
        )
    if parsed_response.first_content_end is not None:
        parsed_response.first_content_end = text.before(parsed_response.first_content_end)
    notes += filter(None, (decoded.note, parsed_response.note))
    if not text.places:
        stored_response = Text(raw_response)
    else:
        stored_response = Text(text.text, text.places, is_decoded=raw_response != decoded.body)
        notes += [_DECODED] if stored_response.is_decoded else []
    outcome = _outcome(exchange, parsed_response)
    usage, usage_source = _usage(wire_format, parsed_request, parts, parsed_response, outcome)
    if usage_source == "estimated" and _is_fetch(request):
        usage, usage_source = None, "none"  # of the call that began it
    return UnderstoodCall(
        action_id=exchange.action_id,
        request=request,
        response_head=response,
        wire_format=wire_format,
        parsed_request=parsed_request,
        parsed_response=parsed_response,
        timestamp=at(request.started_ns) if request else started_at(exchange.action_id),
        outcome=outcome,
        error_detail=_error_detail(exchange, parsed_response, outcome),
        streaming=parsed_request.stream or _is_stream(content_type),
        latency_ms=_latency_ms(exchange),
        ttft_ms=_ttft_ms(exchange, parsed_response, decoded.piece_ends),
        first_byte_ms=exchange.piece_times_ns[0] / 1e6 if exchange.piece_times_ns else None,
        parts=parts,
        prompt=StoredPart.of("prompt", prompt.encode()) if prompt else None,
        frame=frame,
        frame_is_whole=is_whole,
        request_sha256=_request_sha256(request, body),
        request_bytes=_request_bytes(request, body),
        response=stored_response,
        response_bytes=len(raw_response),
        response_sha256=hashlib.sha256(raw_response).hexdigest(),
        usage=usage,
        usage_source=usage_source,
        binaries={binary.digest: binary for binary in found},
        parent_action_id=_uuid(request.ledger.get("parent_action_id")) if request else None,
        notes=notes,
    )


_DECODED = "the answer is kept without its content-encoding: there were binaries in it"


def _asked(
    wire_format: WireFormat, request: RequestHead | None, body: bytes | None, *, exact: bool
) -> tuple[ParsedRequest, bytes, Referring, str | None]:
    """With the body without its content-encoding, and the text that stands for that: the parts
    are of the text."""
    if body is None:
        return ParsedRequest(), b"", refer(b"", ()), "the request's body was lost"
    if _is_fetch(request):
        return ParsedRequest(), body, refer(body, ()), None
    refusal = request.refusal if request else None
    if request and refusal and len(body) < request.body_size:
        kept = f"of a refused call's {request.body_size:,} bytes the first {len(body):,} are kept"
        return ParsedRequest(model_id=refusal.model), b"", refer(b"", ()), kept
    if refusal and refusal.n_calls > 1:  # the calls of a flood have no body in common
        return ParsedRequest(model_id=refusal.model), b"", refer(b"", ()), None
    encoding = _header(request, "content-encoding")
    path = request.path if request else ""
    content_type = _header(request, "content-type") or ""
    note = None
    if encoding:
        decoded = decode([body], encoding, MAX_DECODED)
        body, note = decoded.body, decoded.note
    text = finder.refer_in(body, content_type, exact=exact)
    # Of a form, the wire formats tell the files by their own bytes.
    readable = body if multipart.is_multipart(body, content_type) else text.text
    parsed_request = wire_format.parse_request(readable, path=path, content_type=content_type)
    return parsed_request, body, text, note


def _request_sha256(request: RequestHead | None, body: bytes | None) -> str | None:
    if request and request.refusal and request.refusal.body_sha256:
        return request.refusal.body_sha256
    return hashlib.sha256(body).hexdigest() if body is not None else None


def _request_bytes(request: RequestHead | None, body: bytes | None) -> int | None:
    if request and request.refusal:
        return request.body_size
    return len(body) if body is not None else None


def _frame(
    body: bytes | None,
    decoded_body: bytes,
    text: Referring,
    parsed_request: ParsedRequest,
    parts: list[StoredPart],
    *,
    exact: bool,
) -> tuple[Text | None, bool]:
    """The request without its parts; whole where it could not be put together again."""
    if body is None:
        return None, True
    if body is not decoded_body:  # compressed again, it would be other bytes
        if exact or not text.places:
            return Text(body), True
        return Text(text.text, text.places, is_decoded=True), True
    # A frame has no places for references.
    n_in_parts = sum(len(part.places) for part in parts) if text.places else 0
    if parts and n_in_parts == len(text.places):
        frame = split(text.text, parsed_request.parts)
        if join(frame, [part.data for part in parts]) == text.text:
            return Text(frame), False
    return Text(text.text, text.places), True


def _is_fetch(request: RequestHead | None) -> bool:
    """A GET with a body is a turn of a WebSocket."""
    return request is not None and request.method == "GET" and request.body_size == 0


def _outcome(exchange: Exchange, parsed_response: ParsedResponse) -> Outcome:
    """What the wire format says counts where the connection's end says less: many agents hang up
    when they have seen the last event."""
    ended = Outcome(exchange.end.outcome) if exchange.end else Outcome.INTERRUPTED
    cut_short = (Outcome.INTERRUPTED, Outcome.CLIENT_LEFT, Outcome.UPSTREAM_CUT)
    if ended in cut_short and parsed_response.complete and exchange.piece_times_ns:
        ended = Outcome.COMPLETED
    status = exchange.response.status if exchange.response else 0
    if ended == Outcome.COMPLETED and (status >= 400 or parsed_response.error is not None):
        return Outcome.UPSTREAM_ERROR
    return ended


_ON_OUR_WAY = {
    Outcome.INTERRUPTED: "AgentLedger ended before the answer did",
    Outcome.CLIENT_LEFT: "the agent hung up before the answer was complete",
    Outcome.UPSTREAM_CUT: "the upstream ended its answer before it was complete",
}


def _error_detail(
    exchange: Exchange, parsed_response: ParsedResponse, outcome: Outcome
) -> str | None:
    details = [parsed_response.error, _ON_OUR_WAY.get(outcome)]
    if outcome != Outcome.COMPLETED and exchange.end is not None:
        ours = outcome == Outcome.REFUSED or (
            exchange.response is not None and exchange.response.ours
        )
        details = [exchange.end.error] if ours else [*details, exchange.end.error]
    texts = [text for text in details if text]
    if not texts:
        return None
    return clean("; ".join(texts))[:MAX_ERROR]


def _usage(
    wire_format: WireFormat,
    parsed_request: ParsedRequest,
    parts: list[StoredPart],
    parsed_response: ParsedResponse,
    outcome: Outcome,
) -> tuple[Usage | None, str]:
    usage = parsed_response.usage
    if usage is None and parsed_request.units and outcome == Outcome.COMPLETED:
        return Usage(units=dict(parsed_request.units)), "estimated"  # speech is billed by its text
    if wire_format.NAME in usage_estimate.FORMATS and outcome != Outcome.REFUSED:
        of_request = ((part.kind, part.data) for part in parts)
        usage, is_estimated = usage_estimate.completed(usage, of_request, parsed_response)
        if is_estimated:
            return usage, "estimated"
    counted = (usage.tokens_in, usage.tokens_out, *usage.units.values()) if usage else ()
    return usage, "none" if all(n is None for n in counted) else "provider"


def _latency_ms(exchange: Exchange) -> float | None:
    if exchange.end is not None:
        return exchange.end.at_ns / 1e6
    return exchange.piece_times_ns[-1] / 1e6 if exchange.piece_times_ns else None


def _ttft_ms(
    exchange: Exchange, parsed_response: ParsedResponse, piece_ends: list[int]
) -> float | None:
    """When the piece came that completed the first content."""
    if parsed_response.first_content_end is None or not piece_ends:
        return None
    index = bisect_right(piece_ends, parsed_response.first_content_end - 1)
    return exchange.piece_times_ns[min(index, len(piece_ends) - 1)] / 1e6


def _is_stream(content_type: str) -> bool:
    return content_type.startswith(
        ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream")
    )


def _header(head: RequestHead | ResponseHead | None, name: str) -> str | None:
    if head is None:
        return None
    return next((value for key, value in head.headers if key == name), None)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def heads(call: UnderstoodCall) -> dict[str, JSON]:
    """Both heads, as far as they are kept, for the ledger."""
    return {
        "target": call.request.target if call.request else None,
        "upstream": call.request.upstream if call.request else None,
        "upstream_name": call.request.upstream_name if call.request else None,
        "usage_injected": call.request.usage_injected if call.request else None,
        "request": call.request.headers if call.request else None,
        "response": call.response_head.headers if call.response_head else None,
        "headers_ms": call.response_head.at_ns / 1e6 if call.response_head else None,
        "first_byte_ms": call.first_byte_ms,
    }
