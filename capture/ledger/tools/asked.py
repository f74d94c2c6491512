"""A tool call on record, and whether a result may be its result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from capture.exchange import TOKEN_FIELD
from capture.ledger.bulk_sql import Row
from capture.models import NAME_LENGTH
from capture.parsing.parsed_call import ParsedCall
from capture.wire.json.lenient import load
from capture.wire.types import JSON, ParsedToolCall

# Longer arguments are compared up to here.
MAX_COMPARED = 64 * 1024
# Of the tool calls that a result may belong to, the latest.
MAX_CANDIDATES = 50

_random = re.compile(r"[0-9A-Za-z]{16,}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Caller(NamedTuple):
    """This is who sent a call. Conversations of two callers have nothing in common."""

    ingest_token: str | None
    user_id: str | None
    app_id: str | None

    @classmethod
    def of(cls, call: ParsedCall) -> Caller:
        return cls(*map(call.ledger_field, (TOKEN_FIELD, "user_id", "app_id")))


def is_unique(tool_call_id: str) -> bool:
    """Returns whether no other call is likely to have this id. Some providers count the calls of a
    response: `call_0`, `functions.search:1`."""
    return any(sum(map(str.isdigit, run)) >= 2 for run in _random.findall(tool_call_id))


@dataclass(slots=True)
class AskedCall:
    """A tool call on record. `row` is the whole row in the batch that records it, later its id."""

    row: Row
    scope: int
    call_id: UUID
    tool_call_id: str | None
    name: str | None
    arguments: str | None  # None: not read yet
    is_answered: bool
    # Of the call that the model asked in.
    caller: Caller
    request_sha256: str | None
    response_id: str | None

    @classmethod
    def from_row(cls, row: Row, call: ParsedCall) -> AskedCall:
        return cls(
            row=row,
            scope=row["scope"],
            call_id=call.action_id,
            tool_call_id=row["tool_call_id"],
            name=row["name"],
            arguments=row["arguments"][:MAX_COMPARED],
            is_answered=False,
            caller=Caller.of(call),
            request_sha256=call.request_sha256,
            response_id=cut(call.stored_id),
        )

    def is_same_as(self, echo: ParsedToolCall | None) -> bool:
        """Returns whether a request's history has this call: its name and arguments."""
        if echo is None or self.arguments is None or self.name != cut(echo.name):
            return False
        said: bool = _value(self.arguments) == _value(echo.arguments[:MAX_COMPARED])
        return said


def cut(name: str | None) -> str | None:
    """Returns a name or an id as the ledger has it."""
    return name and name[:NAME_LENGTH]


def _value(arguments: str) -> JSON:
    """Returns what the arguments say: agents write the model's JSON anew."""
    value, note = load(arguments.encode(errors="replace"))
    return arguments if note else value or {}


def pick(candidates: Sequence[AskedCall], echo: ParsedToolCall | None) -> AskedCall | None:
    """Returns the call that a result answers, of those that have its id or its name, oldest first:
    one that the request's history has, in the latest response, the first in it."""
    same = [asked for asked in candidates if asked.is_same_as(echo)]
    if not same and echo is not None:
        same = [asked for asked in candidates if asked.name in (None, cut(echo.name))]
        if not same and (id_ := candidates[-1].tool_call_id) and is_unique(id_):
            same = list(candidates)  # renamed on its way
    found = same if echo is not None else candidates
    return next((one for one in found if one.call_id == found[-1].call_id), None)
