"""A session as one conversation: each message once, in time, with the call that brought it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from capture.models import Call, Session
from reports.analysis.message_view import Piece, Turn, pretty_text, turn_of
from reports.queries import records as queries
from reports.queries.records import Record

AT_ONCE = 40
ANSWERING = ("assistant", "model")
SYSTEM = ("system", "developer")


@dataclass(slots=True)
class Block:
    """What one call brought, and what came back."""

    call: dict[str, Any]
    turns: list[Turn] = field(default_factory=list)
    n_known: int = 0  # messages that calls before it had brought


@dataclass(frozen=True, slots=True)
class Transcript:
    blocks: list[Block]
    next: UUID | None  # the call to go on behind; None: these were the last


def transcript(session: Session, *, agent: str | None, after: UUID | None) -> Transcript:
    """`agent`: its calls alone. Raises Call.DoesNotExist."""
    calls = queries.calls_of(session)
    if agent is not None:
        calls = calls.filter(agent_name=agent)
    if after is not None:
        place = Call.objects.values("timestamp", "seq").get(pk=after, session=session)
        calls = queries.behind(calls, place)
    records = list(queries.records(calls, limit=AT_ONCE + 1))
    shown = records[:AT_ONCE]
    more = len(records) > AT_ONCE
    return Transcript(list(_blocks(shown)), shown[-1].row["action_id"] if more else None)


def _blocks(records: list[Record]) -> Iterator[Block]:
    known: set[int] = set()
    responses: set[str] = set()
    for record in records:
        block = Block(record.row)
        if record.prompt is not None and record.row["prompt_ref"] not in known:
            known.add(record.row["prompt_ref"])
            text = record.prompt.text.data.decode(errors="replace")
            block.turns.append(Turn("system prompt", [Piece("text", text)]))
        for ref, part in zip(record.refs, record.parts, strict=True):
            if part.kind != "message":
                continue
            if ref in known:
                block.n_known += 1
                continue
            known.add(ref)
            turn = turn_of(part.json)
            if turn.who in SYSTEM and record.prompt is not None:
                continue  # it is the system prompt
            # The model's own words were shown when they came.
            if turn.who in ANSWERING and turn.text.strip() in responses:
                block.n_known += 1
            else:
                block.turns.append(turn)
        response = _response(record)
        if response.pieces:
            responses.add(response.text.strip())
            block.turns.append(response)
        yield block


def _response(record: Record) -> Turn:
    row = record.row
    pieces = [Piece("text", row["content"])] if row["content"] else []
    pieces += [
        Piece("tool_call", pretty_text(one["arguments"]), one["name"], one["tool_call_id"])
        for one in record.tool_calls
    ]
    return Turn("response", pieces)
