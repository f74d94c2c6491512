"""The raw bytes and times of one call, as they travel from the proxy to the recorder."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from msgspec import Meta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # of the year 9999
# As many nanoseconds, bytes and statuses as columns hold: what a damaged record says may be more.
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Status = Annotated[int, Meta(ge=0, le=2**31 - 1)]


# Names in lower case and values; None for a value that is not kept.
RecordedHeaders = list[tuple[str, str | None]]


class Outcome(StrEnum):
    COMPLETED = "completed"
    REFUSED = "refused"
    UPSTREAM_ERROR = "upstream_error"
    INTERRUPTED = "interrupted"  # our process ended before the response did
    CLIENT_LEFT = "client_left"
    UPSTREAM_CUT = "upstream_cut"


# The key of the ingest token's name among a call's x-agentledger-* fields. No header sets it.
TOKEN_FIELD = "ingest_token"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a call never went upstream, and what is recorded of it."""

    code: str
    facts: dict[str, Any]
    model: str | None
    n_calls: int = 1  # above 1: one record stands for a flood
    body_sha256: str | None = None  # of the whole body, where only its beginning is recorded


@dataclass(slots=True)
class RequestHead:
    """A request without its body, as far as it is recorded. Times are nanoseconds."""

    started_ns: Count  # since 1970
    method: str
    path: str  # decoded; `target` is what was sent
    target: str
    wire_format: str
    upstream: str  # its URL, without a query
    upstream_name: str
    provider: str | None  # of the upstream; None: its host is not a known provider's
    headers: RecordedHeaders
    ledger: dict[str, str]  # the x-agentledger-* fields, and TOKEN_FIELD
    body_size: Count
    has_body_file: bool  # the body is in a file of its own beside the segments
    usage_injected: bool = False  # the proxy asked for usage on the agent's behalf
    refusal: Refusal | None = None
    budget_warning: list[dict[str, Any]] | None = None  # budgets that are spent, but only warn
    reserved_usd: Decimal | None = None  # None: no budget applies, or the model has no price
    n_deletions: int = 0  # of sessions, as far as the proxy knew: capture.deletion_count


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: Status
    headers: RecordedHeaders
    at_ns: Count  # since the call began
    is_ours: bool = False  # we responded, not the upstream


@dataclass(frozen=True, slots=True)
class End:
    outcome: Outcome
    at_ns: Count  # since the call began
    error: str | None = None


class WholeBody(NamedTuple):
    """The size and the SHA-256 of a body, of which perhaps only the beginning is in memory."""

    size: int
    sha256: str

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> WholeBody:
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
        return cls(size, digest.hexdigest())


@dataclass(slots=True)
class Exchange:
    """One call as read back from the spool. A part that is damaged or never came is None.

    Of bodies that are too long to be parsed, only the beginnings are here.
    """

    action_id: UUID
    request: RequestHead | None = None
    body: bytes | None = None
    response: ResponseHead | None = None
    pieces: list[bytes] = field(default_factory=list)
    piece_times_ns: list[int] = field(default_factory=list)  # since the call began
    end: End | None = None
    is_damaged: bool = False
    whole_body: WholeBody | None = None  # None: all of the request's body is in `body`
    whole_response: WholeBody | None = None  # None: all of it is in `pieces`


def _randomness() -> Iterator[int]:
    """Yields 64 random bits at a time. The system is asked for a kilobyte of them at once, since a
    system call for each would take longer."""
    while True:
        yield from struct.unpack(">128Q", os.urandom(1024))


_random_numbers = _randomness()


def new_action_id() -> UUID:
    """Returns a UUIDv7 (RFC 9562): milliseconds, then 12 bits of their fraction, so that the ids of
    one process sort by time to a quarter of a microsecond, then randomness."""
    ms, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = rest_ns * 4096 // 1_000_000
    random = next(_random_numbers) & ((1 << 62) - 1)
    return UUID(int=ms << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random)


def datetime_from_id(action_id: UUID) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(action_id.int >> 80, _LAST_MS))


def datetime_from_ns(ns: int) -> datetime:
    """Returns the time `ns` nanoseconds after 1970, in microseconds, as databases store it."""
    return _EPOCH + timedelta(microseconds=ns // 1000)
