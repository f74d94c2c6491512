"""A parsed call: all that the ledger keeps of an exchange. The same bytes always give an equal one,
and nothing changes it afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from capture.exchange import Exchange, Outcome, RequestHead, ResponseHead
from capture.wire import registry
from capture.wire.binaries.references import EmbeddedBinary, Reference, StoredText
from capture.wire.registry import STORED_RESPONSE_FORMATS
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    Usage,
    WireFormat,
)

DEFAULT_ENVIRONMENT = "development"
DIGEST_BYTES = 16
_AZURES_HEADERS = frozenset(("apim-request-id", "x-ms-region"))


class StoredPart(NamedTuple):
    """A part of the request as the ledger stores it: once in its scope, under its digest.

    The digest is of the bytes that the agent sent, without markers for the provider's cache; `data`
    has references in place of binaries.
    """

    kind: str  # message | system | tools | prompt
    data: bytes
    digest: bytes
    references: Sequence[Reference] = ()

    @classmethod
    def from_bytes(cls, kind: str, data: bytes) -> StoredPart:
        return cls(kind, data, part_digest(kind, data))

    @classmethod
    def from_referring(
        cls, kind: str, data: bytes, original: bytes, references: Sequence[Reference]
    ) -> StoredPart:
        """`data` has references in place of the binaries of `original`."""
        return cls(kind, data, part_digest(kind, original), references)


def part_digest(kind: str, data: bytes) -> bytes:
    return hashlib.sha256(kind.encode() + b"\0" + data).digest()[:DIGEST_BYTES]


class ParsedCall(NamedTuple):
    """Fields that the ledger has too have the names that they have there.

    A named tuple is made in a fifth of the time that a frozen dataclass of as many fields takes.
    """

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
    first_byte_ms: float | None
    frame: StoredText | None  # None: the request was lost
    request_sha256: str | None
    request_bytes: int | None
    response: StoredText
    response_bytes: int
    response_sha256: str
    parent_action_id: UUID | None
    provider: str  # see `provider_of`
    is_fetch: bool  # it asks for a response that another call began: see `is_fetch`
    notes: Sequence[str]
    # What follows has these values where the bodies were not understood.
    frame_is_whole: bool = True
    ttft_ms: float | None = None
    parts: Sequence[StoredPart] = ()
    prompt: StoredPart | None = None
    usage: Usage | None = None
    usage_source: str = "none"  # provider | estimated | none
    binaries: Mapping[bytes, EmbeddedBinary] = MappingProxyType({})  # by digest, of all texts

    def ledger_field(self, name: str) -> str | None:
        """Returns what the agent sent in an x-agentledger-* header, `name` in snake case."""
        return self.request.ledger.get(name) if self.request else None

    @property
    def environment(self) -> str:
        return self.ledger_field("environment") or DEFAULT_ENVIRONMENT

    @property
    def attempt(self) -> int:
        """Counts from 1; the SDKs of OpenAI, Anthropic and Groq count their retries from 0."""
        retries = header_value(self.request, "x-stainless-retry-count")
        return 1 + int(retries) if retries and re.fullmatch(r"[0-9]{1,4}", retries) else 1

    @property
    def stored_id(self) -> str | None:
        """The id by which the provider stores the response, so that other calls can fetch it; None
        if it does not."""
        if self.is_fetch and self.request is not None:
            fetch = registry.find_fetch(self.request.method, self.request.path)
            if fetch is not None:
                return fetch.id
        elif not (
            self.parsed_response.is_pending or self.wire_format.NAME in STORED_RESPONSE_FORMATS
        ):
            return None
        return self.parsed_response.response_id

    @property
    def n_calls(self) -> int:
        """Is above 1 where one record stands for a flood of refused calls."""
        refusal = self.request.refusal if self.request else None
        return refusal.n_calls if refusal else 1

    @property
    def refusal(self) -> dict[str, JSON] | None:
        refusal = self.request.refusal if self.request else None
        if refusal is None:
            return None
        return {"code": refusal.code, "n_calls": refusal.n_calls, **refusal.facts}

    @property
    def previous_response_id(self) -> str | None:
        """The response that the request continues, whose history the provider has."""
        for name in ("previous_response_id", "previous_interaction_id"):
            if isinstance(found := self.parsed_request.params.get(name), str) and found:
                return found
        return None

    @property
    def is_error(self) -> bool:
        return self.outcome not in (Outcome.COMPLETED, Outcome.REFUSED)

    @property
    def status(self) -> int | None:
        """The status of the response; None if no response began."""
        return self.response_head.status if self.response_head else None

    def tool_results(self, part: StoredPart) -> list[ParsedToolResult]:
        return self.wire_format.tool_results(part.data) if part.kind == "message" else []


def provider_of(
    request: RequestHead | None, response: ResponseHead | None, wire_format: WireFormat
) -> str:
    """Returns the provider that runs the upstream where its host is known, else the one whose API
    first spoke the wire format. Azure is also known by its paths and headers, since it sells
    OpenAI's models with tools at its own prices."""
    known = request.provider if request else None
    if known is None and wire_format.PROVIDER == "openai" and _is_at_azure(request, response):
        return "azure"
    return known or wire_format.PROVIDER


def _is_at_azure(request: RequestHead | None, response: ResponseHead | None) -> bool:
    if request is not None and request.path.startswith("/openai/deployments/"):
        return True
    headers = response.headers if response else ()
    return not _AZURES_HEADERS.isdisjoint([name for name, _ in headers])


def is_fetch(request: RequestHead | None) -> bool:
    """Returns True for a poll, a stream that is resumed, a cancellation. A GET that has a body is a
    turn of a WebSocket, and no fetch."""
    if request is None:
        return False
    if request.method == "GET":
        return request.body_size == 0
    return registry.find_fetch(request.method, request.path) is not None


def header_value(head: RequestHead | ResponseHead | None, name: str) -> str | None:
    """Returns the value of a recorded header, `name` in lower case; None if there is none."""
    if head is not None:
        for key, value in head.headers:
            if key == name:
                return value
    return None


def request_sha256(exchange: Exchange) -> str | None:
    """Returns the digest of the body as it was sent; None if it was lost."""
    request, body = exchange.request, exchange.body
    if request and request.refusal and request.refusal.body_sha256:
        return request.refusal.body_sha256
    if exchange.whole_body is not None:
        return exchange.whole_body.sha256
    return hashlib.sha256(body).hexdigest() if body is not None else None


def request_size(exchange: Exchange) -> int | None:
    """Returns the size of the body as it was sent; None if it was lost."""
    if exchange.request and exchange.request.refusal:
        return exchange.request.body_size
    if exchange.whole_body is not None:
        return exchange.whole_body.size
    return len(exchange.body) if exchange.body is not None else None
