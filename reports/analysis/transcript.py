"""A session as one conversation: each message once, in time order, with the call that added it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from capture.models import Call, Session
from reports.analysis.message_view import MessageBlock, MessageView, format_text, view_message
from reports.queries import records as queries
from reports.queries.records import Record, Selection

CALLS_PER_PAGE = 40
MESSAGES_PER_CALL, MESSAGES_PER_PAGE = 200, 1_000
# It shows no bodies.
_SELECTION = Selection(texts=False, raw=False, price_corrections=False)
RESPONSE_ROLES = ("assistant", "model")
SYSTEM_ROLES = ("system", "developer")


@dataclass(slots=True)
class TranscriptEntry:
    """The messages that one call added, and its response."""

    call: dict[str, Any]
    messages: list[MessageView] = field(default_factory=list)
    n_hidden: int = 0  # messages that earlier calls had added
    n_left_out: int = 0  # messages that are too many for one page


@dataclass(frozen=True, slots=True)
class Transcript:
    entries: list[TranscriptEntry]
    next: UUID | None  # the call after which the next page begins; None: this is the last page


def read_transcript(session: Session, *, agent: str | None, after: UUID | None) -> Transcript:
    """Reads the page that begins after the call `after`, or the first one.

    `agent` limits it to the calls of one agent. Raises Call.DoesNotExist when the session has no
    call `after`.
    """
    calls = queries.calls_of(session)
    if agent is not None:
        calls = calls.filter(agent_name=agent)
    if after is not None:
        place = Call.objects.values("timestamp", "seq").get(pk=after, session=session)
        calls = queries.later_than(calls, place)
    records = list(queries.read_records(calls, _SELECTION, limit=CALLS_PER_PAGE + 1))
    shown = records[:CALLS_PER_PAGE]
    more = len(records) > CALLS_PER_PAGE
    return Transcript(list(_entries(shown)), shown[-1].row["action_id"] if more else None)


def _entries(records: list[Record]) -> Iterator[TranscriptEntry]:
    known: set[int] = set()
    responses: set[str] = set()
    n_shown = 0
    for record in records:
        entry = TranscriptEntry(record.row)
        if record.prompt is not None and record.row["prompt_ref"] not in known:
            known.add(record.row["prompt_ref"])
            text = record.prompt.text.data.decode(errors="replace")
            entry.messages.append(MessageView("system prompt", [MessageBlock("text", text)]))
        for ref, part in zip(record.refs, record.parts, strict=True):
            if part.kind != "message":
                continue
            if ref in known:
                entry.n_hidden += 1
                continue
            known.add(ref)
            if len(entry.messages) > MESSAGES_PER_CALL or n_shown > MESSAGES_PER_PAGE:
                entry.n_left_out += 1
                continue
            message = view_message(part.json)
            if message.role in SYSTEM_ROLES and record.prompt is not None:
                continue  # the system prompt, shown above
            # The model's own messages were shown as responses.
            if message.role in RESPONSE_ROLES and message.text.strip() in responses:
                entry.n_hidden += 1
            else:
                entry.messages.append(message)
        response = _response(record)
        if response.blocks:
            responses.add(response.text.strip())
            entry.messages.append(response)
        n_shown += len(entry.messages)
        yield entry


def _response(record: Record) -> MessageView:
    row = record.row
    blocks = [MessageBlock("text", row["content"])] if row["content"] else []
    blocks += [
        MessageBlock(
            "tool_call", format_text(call["arguments"]), call["name"], call["tool_call_id"]
        )
        for call in record.tool_calls
    ]
    return MessageView("response", blocks)
