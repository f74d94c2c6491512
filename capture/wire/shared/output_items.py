"""Assembles the output of a Responses stream from its events."""

from __future__ import annotations

from typing import NamedTuple

from capture.wire.json.fields import fields, objects, text, texts
from capture.wire.json.lenient import clean, clean_json, dump
from capture.wire.limits import MAX_BLOCKS, check
from capture.wire.types import JSON, ParsedToolCall, ParsedToolResult

_TOOL_CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "local_shell_call": "action",
    "shell_call": "action",
    "computer_call": "action",
    "apply_patch_call": "operation",
    "tool_search_call": "arguments",
    "mcp_approval_request": "arguments",
    "mcp_call": "arguments",
}
"""The types of tool calls, and the field that has their arguments.

Other calls of tools that OpenAI runs (web_search_call and so on) are steps of the response; those
of MCP servers have names and arguments like any other.
"""


def is_tool_call(item: dict[str, JSON]) -> bool:
    kind = item.get("type")
    return isinstance(kind, str) and kind in _TOOL_CALLS and not _is_search_of_server(item)


def _is_search_of_server(item: dict[str, JSON]) -> bool:
    return item.get("type") == "tool_search_call" and item.get("execution") == "server"


def tool_call_of(item: dict[str, JSON]) -> ParsedToolCall:
    """Reads an item that is a tool call."""
    arguments = _arguments_of(item)
    kind = clean(item["type"])
    return ParsedToolCall(
        # MCP's calls and requests for approval have no `call_id`: the agent refers to their `id`.
        id=text(item.get("call_id")) or text(item.get("id")),
        name=text(item.get("name")) or kind.removesuffix("_call"),
        arguments=clean(arguments if isinstance(arguments, str) else dump(arguments)),
    )


def tool_result_of(item: dict[str, JSON]) -> ParsedToolResult | None:
    """Reads an item that is the result of a tool call; None, if it is something else."""
    kind = text(item.get("type")) or ""
    if kind == "mcp_approval_response":
        call_id = text(item.get("approval_request_id"))
        content: JSON = {name: item[name] for name in ("approve", "reason") if name in item}
    elif kind.endswith("_call_output") or kind == "tool_search_output":
        # That of a local shell has the call's id as its own.
        call_id = text(item.get("call_id")) or text(item.get("id"))
        content = item.get("tools" if kind == "tool_search_output" else "output")
    else:
        return None
    if not call_id:
        return None
    has_failed = item.get("status") == "failed"
    return ParsedToolResult(call_id, None, clean_json(content), is_error=has_failed)


def _arguments_of(item: dict[str, JSON]) -> JSON:
    arguments = item.get(_TOOL_CALLS[item["type"]])
    # Newer computer calls are several actions at once.
    return item.get("actions", "") if arguments is None else arguments


TEXT_FIELDS = ("text", "refusal", "transcript")
"""The fields that hold the text of an entry of a message's content."""


class _TextField(NamedTuple):
    """The target of an event's text: an entry of a list in an item of this type."""

    item_type: str
    list_name: str
    entry_type: str
    field: str
    number: str  # the event's field that has the index of the entry


class _ArgumentsField(NamedTuple):
    """The target of an event's arguments: a field of an item, or of an object within it."""

    item_type: str
    field: str
    within: str | None = None
    number: str = ""  # an item has one of them


class _CommandsField(NamedTuple):
    """The target of a shell's commands: a list in the `action` of an item."""

    item_type: str
    field: str
    number: str


_Target = _TextField | _ArgumentsField | _CommandsField


_targets: dict[str, _Target] = {
    "response.output_text": _TextField(
        "message", "content", "output_text", "text", "content_index"
    ),
    "response.refusal": _TextField("message", "content", "refusal", "refusal", "content_index"),
    "response.reasoning_text": _TextField(
        "reasoning", "content", "reasoning_text", "text", "content_index"
    ),
    "response.reasoning_summary_text": _TextField(
        "reasoning", "summary", "summary_text", "text", "summary_index"
    ),
    # Realtime: the transcript of a voice and, in its first version, text.
    "response.output_audio_transcript": _TextField(
        "message", "content", "output_audio", "transcript", "content_index"
    ),
    "response.audio_transcript": _TextField(
        "message", "content", "audio", "transcript", "content_index"
    ),
    "response.text": _TextField("message", "content", "text", "text", "content_index"),
    "response.function_call_arguments": _ArgumentsField("function_call", "arguments"),
    "response.custom_tool_call_input": _ArgumentsField("custom_tool_call", "input"),
    "response.mcp_call_arguments": _ArgumentsField("mcp_call", "arguments"),
    "response.apply_patch_call_operation_diff": _ArgumentsField(
        "apply_patch_call", "diff", within="operation"
    ),
    "response.shell_call_command": _CommandsField("shell_call", "command", "command_index"),
}
_deltas = {f"{stem}.delta": target for stem, target in _targets.items()}
_part_targets = {
    target.entry_type: target for target in _targets.values() if isinstance(target, _TextField)
}
_WHOLE_PARTS = ("response.content_part.done", "response.reasoning_summary_part.done")


class _Item:
    def __init__(self) -> None:
        self.start: dict[str, JSON] = {}
        self.whole: dict[str, JSON] | None = None
        self.pieces: dict[tuple[_Target, JSON], list[str]] = {}

    def assemble(self) -> dict[str, JSON]:
        """Returns the item as it ended. Of one that has not, or that some copies of the API end
        without its content, what its deltas brought."""
        whole = self.whole or {}
        if has_output(whole) and not is_tool_call(whole):
            return whole
        item = {**self.start, **whole}
        lists: dict[str, list[JSON]] = {}
        commands: list[str] = []
        for (target, _), pieces in self.pieces.items():
            item.setdefault("type", target.item_type)
            joined = "".join(pieces)
            if isinstance(target, _TextField):
                entry = {"type": target.entry_type, target.field: joined}
                lists.setdefault(target.list_name, []).append(entry)
            elif isinstance(target, _CommandsField):
                commands.append(joined)
            elif target.within:
                inner = fields(item.get(target.within))
                item[target.within] = {**inner, target.field: inner.get(target.field) or joined}
            elif not whole.get(target.field):
                item[target.field] = joined
        if commands and not whole:
            item["action"] = {**fields(item.get("action")), "commands": commands}
        return {**item, **lists}


class OutputItems:
    def __init__(self) -> None:
        self._items: dict[int | str, _Item] = {}  # by number in the output, or id
        self._numbers: dict[str, int] = {}  # by id
        self._latest: dict[str | None, str] = {}  # by type, of items with neither
        # Where the event before belongs, if it was a delta, and the pieces there.
        self._place: tuple[JSON, ...] = ()
        self._pieces: list[str] = []

    def add(self, name: str, event: dict[str, JSON]) -> bool:
        """Adds an event; returns True when it has text, reasoning or a piece of a tool call."""
        if name in _deltas:
            return self._add_delta(_deltas[name], event)
        self._place = ()
        if name == "response.output_item.added":
            start = self._item(event).start = fields(event.get("item"))
            return has_output(start)
        if name == "response.output_item.done":
            whole = self._item(event).whole = fields(event.get("item"))
            return has_output(whole)
        stem, _, step = name.rpartition(".")
        if name in _WHOLE_PARTS:
            event = {**event, **fields(event.get("part"))}
            kind = event.get("type")
            target: _Target | None = _part_targets.get(kind) if isinstance(kind, str) else None
        else:
            target = _targets.get(stem)
        if target is not None:
            return self._add_whole(target, event)
        if stem.endswith("_call") and step == "completed":  # a tool that the provider ran
            kind = stem.removeprefix("response.")
            self._item(event, kind).start.setdefault("type", kind)
        return False

    def _add_delta(self, target: _Target, event: dict[str, JSON]) -> bool:
        piece = event.get("delta")
        if not piece or not isinstance(piece, str):
            return False
        number = event.get(target.number)
        place = (target, number, event.get("output_index"), event.get("item_id"))
        if place != self._place:  # mostly it is the same
            self._pieces = self._pieces_at(target, number, event)
            self._place = place
        self._pieces.append(piece)
        return True

    def _add_whole(self, target: _Target, event: dict[str, JSON]) -> bool:
        piece = event.get(target.field)
        if not piece or not isinstance(piece, str):
            return False
        self._pieces_at(target, event.get(target.number), event)[:] = [piece]
        return True

    def _pieces_at(self, target: _Target, number: JSON, event: dict[str, JSON]) -> list[str]:
        item = self._item(event, target.item_type)
        check(len(item.pieces), MAX_BLOCKS, "texts in one item")
        if name := text(event.get("name")):  # a call whose start is missing has it at its end
            item.start.setdefault("name", name)
        return item.pieces.setdefault((target, number if isinstance(number, int) else None), [])

    def assemble(self) -> list[dict[str, JSON]]:
        """Returns the items as they would be in the response, had it ended here."""
        return [item.assemble() for item in self._items.values()]

    def heads(self) -> list[dict[str, JSON]]:
        """Returns the items without the texts that came in pieces."""
        return [item.whole or item.start for item in self._items.values()]

    def _item(self, event: dict[str, JSON], item_type: str | None = None) -> _Item:
        """Returns the item of an event: by its number or its id, which some copies of the API do
        not send, else the latest one of its type."""
        number, start = event.get("output_index"), fields(event.get("item"))
        id = text(event.get("item_id")) or text(start.get("id"))
        key: int | str | None = self._numbers.get(id, id) if id else None
        if isinstance(number, int):
            key = number
            if id:
                self._numbers[id] = number
        if key is None:
            key = self._key_of_latest(item_type or text(start.get("type")), event)
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item()
            check(len(self._items), MAX_BLOCKS, "items in the output")
        return item

    def _key_of_latest(self, kind: str | None, event: dict[str, JSON]) -> str:
        key = self._latest.get(kind)
        latest = self._items[key] if key is not None else None
        if latest is None or latest.whole is not None or (latest.start and _begins_item(event)):
            key = self._latest[kind] = f"{kind} {len(self._items)}"
        return str(key)


def _begins_item(event: dict[str, JSON]) -> bool:
    return event.get("type") == "response.output_item.added"


def has_output(item: dict[str, JSON]) -> bool:
    """Returns True for an item with text, reasoning or a tool call."""
    if is_tool_call(item):
        return True
    entries = objects(item.get("content")) + objects(item.get("summary"))
    return any(texts(entry.get(name)) for entry in entries for name in TEXT_FIELDS)
