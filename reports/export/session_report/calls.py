"""The calls of a report, each with what was new in it, its response, tokens, cost and digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from capture.models import Session
from capture.wire.json.lenient import dump_indented
from reports.analysis.call_view import names_of_tools_offered, response_message
from reports.analysis.message_view import MessageBlock, MessageView, view_message
from reports.analysis.transcript import RESPONSE_ROLES, SYSTEM_ROLES
from reports.export.session_report.texts import Room, at_utc, brief, brief_list, exact_usd, message
from reports.output.call_json import call_json
from reports.output.formats import UNKNOWN, count, duration, size
from reports.queries import records
from reports.queries.records import Record, Selection, is_shown_raw
from reports.queries.session_report import parts_of_first_calls

# Calls of one part; a longer session has several.
PART = 500
# Characters shown of one call, and of all calls of a part.
MAX_CALL, MAX_PART = 12_000, 1_500_000
MAX_MESSAGES = 60  # of one call
# A result is shown a second time in the call that brought it.
MAX_RESULT = 600
_SELECTION = Selection(texts=False)
_RAW = frozenset(("raw_request", "raw_response"))


def n_parts(session: Session) -> int:
    return max(-(-session.call_count // PART), 1)


def read_part(session: Session, part: int) -> list[Record]:
    """Returns the calls of a part, counted from 1."""
    calls = records.calls_of(session)
    if part > 1:
        before = calls.values("timestamp", "seq")[(part - 1) * PART - 1 :]
        position = before.first() if part <= n_parts(session) else None
        if position is None:
            return []
        calls = records.later_than(calls, position)
    return list(records.read_records(calls, _SELECTION, limit=PART))


def describe_calls(session: Session, found: list[Record], part: int) -> list[dict[str, Any]]:
    """Returns the calls of a part as templates take them, numbered through the session."""
    first_number = (part - 1) * PART + 1
    history = _History(parts_of_first_calls(session, first_number - 1))
    room = min(MAX_CALL, MAX_PART // max(len(found), 1))
    numbers = {record.row["action_id"]: first_number + i for i, record in enumerate(found)}
    return [
        _describe(record, first_number + i, history, Room(room), numbers)
        for i, record in enumerate(found)
    ]


@dataclass
class _History:
    """What earlier calls have shown."""

    shown_by: dict[int, int]  # by part of a request: the call's number
    responses: set[str] = field(default_factory=set)

    def is_new(self, ref: int | None, number: int) -> bool:
        return ref is not None and self.shown_by.setdefault(ref, number) == number


@dataclass
class _NewParts:
    """What one call brought: messages as templates take them, and the number of the others."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    n_new: int = 0  # messages of the history that no earlier call had
    n_left_out: int = 0  # of these, too many to be shown


def _describe(
    record: Record, number: int, history: _History, room: Room, numbers: dict[Any, int]
) -> dict[str, Any]:
    row = record.row
    pointer = f"/calls/{number - 1}"
    new = _new_parts(record, number, history, room)
    response = response_message(record)
    if response.blocks:
        history.responses.add(response.text.strip())
        new.messages.append(message(response, pointer, room))
    new.messages += _tool_results(record, pointer, numbers)
    new.messages += _raw_bodies(record, pointer, room)
    agent = row["agent_name"]
    return {
        "number": number,
        "action_id": str(row["action_id"]),
        "title": f"Call {number}: {brief(agent) if agent else 'no agent name'},"
        f" {brief(row['model_id'] or 'no model')}",
        "tone": "" if row["outcome"] == "completed" else "bad",
        "reason": brief(row["error_detail"]) if row["error_detail"] else None,
        "facts": _facts(record),
        "unchanged": _unchanged(record, number, new, history),
        "messages": new.messages,
        "hashes": _hashes(record),
    }


def _new_parts(record: Record, number: int, history: _History, room: Room) -> _NewParts:
    pointer = f"/calls/{number - 1}"
    new = _NewParts()
    prompt = record.prompt
    if prompt is not None and history.is_new(record.row["prompt_ref"], number):
        text = prompt.text.data.decode(errors="replace")
        view = MessageView("system prompt", [MessageBlock("text", text)])
        new.messages.append(message(view, f"{pointer}/system_prompt", room))
    place = -1
    for ref, part in zip(record.refs, record.parts, strict=True):
        place += part.kind == "message"
        if not history.is_new(ref, number):
            continue
        if part.kind == "tools":
            names = MessageBlock("text", brief_list(names_of_tools_offered(record), 100))
            view = MessageView("tools offered", [names])
            new.messages.append(message(view, f"{pointer}/tools", room))
        elif part.kind == "message":
            view = view_message(part.json)
            if not (view.role in SYSTEM_ROLES and prompt is not None):  # the prompt is shown above
                _add_message(new, view, f"{pointer}/messages/{place}", room, history)
    return new


def _add_message(
    new: _NewParts, view: MessageView, pointer: str, room: Room, history: _History
) -> None:
    if view.role in RESPONSE_ROLES and view.text.strip() in history.responses:
        return  # the model's own messages were shown as responses
    new.n_new += 1
    if new.n_new > MAX_MESSAGES:
        new.n_left_out += 1
    else:
        new.messages.append(message(view, pointer, room))


def _unchanged(record: Record, number: int, new: _NewParts, history: _History) -> str | None:
    """Returns a sentence about what was sent again, and what is not shown."""
    n_sent = record.history.n_messages if record.history is not None else 0
    sentences = []
    if n_sent > new.n_new:
        some = f"{n_sent - new.n_new:,} of its {n_sent:,} messages" if new.n_new else "Its messages"
        sentences.append(f"{some} are shown above.")
    first = history.shown_by.get(record.row["prompt_ref"] or 0, number)
    if first < number:
        sentences.append(f"Its system prompt is that of call {first}.")
    if new.n_left_out:
        sentences.append(f"{new.n_left_out:,} new messages are in the JSON export alone.")
    return " ".join(sentences) or None


def _tool_results(
    record: Record, pointer: str, numbers: dict[Any, int]
) -> Iterator[dict[str, Any]]:
    """Yields the results that later calls brought for the tools that this one asked for."""
    for place, row in enumerate(record.tool_calls):
        if row["result_action_id"] is None:
            continue
        brought_by = numbers.get(row["result_action_id"])
        by = f"call {brought_by}" if brought_by else "a later call"
        role = f"result of {brief(row['name'] or UNKNOWN)}, brought by {by}"
        text = _as_text(row["result"]["content"] if row["result"] else None)
        is_error = bool(row["result_is_error"])
        block = MessageBlock("tool_result", text, id=row["tool_call_id"], is_error=is_error)
        view = MessageView(role, [block])
        yield message(view, f"{pointer}/tool_results/{place}", Room(MAX_RESULT))


def _as_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "" if content is None else dump_indented(content)


def _raw_bodies(record: Record, pointer: str, room: Room) -> Iterator[dict[str, Any]]:
    """Yields the bodies of a call that could not be understood."""
    if is_shown_raw(record.row):
        for name, text in call_json(record, _RAW).items():
            if text:
                view = MessageView(name.replace("_", " "), [MessageBlock("json", text)])
                yield message(view, f"{pointer}/{name}", room)


def _facts(record: Record) -> list[tuple[str, str]]:
    row = record.row
    pairs: Iterable[tuple[str, str | None]] = (
        ("Time", at_utc(row["timestamp"])),
        (
            "Agent, user",
            ", ".join(brief(row[name] or UNKNOWN) for name in ("agent_name", "user_id")),
        ),
        ("Handoff", _handoff(record)),
        ("Ingest token", row["ingest_token"] and brief(row["ingest_token"])),
        (
            "Request",
            brief(f"{row['method']} {row['path']}, {row['wire_format']} at {row['provider']}"),
        ),
        ("Model", _model(record)),
        ("Outcome", _outcome(record)),
        ("Tokens", _tokens(record)),
        ("Cost", _cost(record)),
        ("Duration", _duration(record)),
        ("Budget warning", _warning(record)),
        ("Notes", brief_list([str(note) for note in row["notes"]]) if row["notes"] else None),
    )
    return [(name, value) for name, value in pairs if value]


def _handoff(record: Record) -> str | None:
    giver, taker = record.row["handoff_from"], record.row["handoff_to"]
    if giver is None and taker is None:
        return None
    return f"from {brief(giver or UNKNOWN)} to {brief(taker or UNKNOWN)}"


def _model(record: Record) -> str:
    asked, served = record.row["model_id"], record.row["response_model"]
    return f"asked for {brief(asked or UNKNOWN)}, served by {brief(served or UNKNOWN)}"


def _outcome(record: Record) -> str:
    row = record.row
    parts = [row["outcome"].replace("_", " ")]
    parts += [f"status {row['status_code']}"] if row["status_code"] else []
    parts += [f"refused as {row['refusal_code']}"] if row["refusal_code"] else []
    parts += [f"stopped for {brief(row['stop_reason'])}"] if row["stop_reason"] else []
    parts += ["streamed"] if row["streaming"] else []
    parts += [f"attempt {row['attempt']}"] if row["attempt"] > 1 else []
    return ", ".join(parts)


def _tokens(record: Record) -> str:
    row = record.row
    text = f"{count(row['tokens_in'])} in, {count(row['tokens_out'])} out"
    kinds = (
        ("cache_read", "from the cache"),
        ("cache_write", "to the cache"),
        ("reasoning", "reasoning"),
    )
    for name, words in kinds:
        if row[f"tokens_{name}"]:
            text += f", {count(row[f'tokens_{name}'])} {words}"
    return f"{text} (source: {row['usage_source']})"


def _cost(record: Record) -> str:
    row = record.row
    text = exact_usd(row["cost_usd"])
    text += f" (price: {brief(row['price_source'])})" if row["price_source"] else ""
    for one in record.price_corrections:
        was = exact_usd(one["old_cost_usd"])
        text += f"; corrected at {at_utc(one['corrected_at'])}, was {was}"
    return text


def _duration(record: Record) -> str | None:
    row = record.row
    if row["latency_ms"] is None:
        return None
    first = f", first token after {duration(row['ttft_ms'])}" if row["ttft_ms"] is not None else ""
    return f"{duration(row['latency_ms'])}{first}"


def _warning(record: Record) -> str | None:
    warnings = record.row["budget_warning"]
    if not warnings:
        return None
    return "; ".join(
        f"{brief(str(one['budget']))} spent {one['spent_usd']} of {one['limit_usd']} USD"
        for one in warnings
    )


def _hashes(record: Record) -> list[tuple[str, str]]:
    row = record.row
    return [
        ("Call", f"{row['action_id']} (seq {row['seq']})"),
        (f"Request, {size(row['request_bytes'])}, SHA-256", row["request_sha256"] or UNKNOWN),
        (f"Response, {size(row['response_bytes'])}, SHA-256", row["response_sha256"] or UNKNOWN),
    ]
