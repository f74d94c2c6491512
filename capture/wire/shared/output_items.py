"""Assembles the output of a Responses stream from its events."""

from __future__ import annotations

from typing import NamedTuple

from capture.wire.json.fields import fields, objects, text, texts
from capture.wire.limits import MAX_BLOCKS, check
from capture.wire.types import JSON

TOOL_CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "local_shell_call": "action",
    "shell_call": "action",
    "computer_call": "action",
    "apply_patch_call": "operation",
}
"""The types of calls of tools that the agent runs, and the field that has their arguments.

Calls of tools that OpenAI runs (web_search_call and so on) are steps of the response: no agent
returns a result for them.
"""


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
    item_type: str
    field: str


_targets: dict[str, _TextField | _ArgumentsField] = {
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
}


class _Item:
    def __init__(self) -> None:
        self.start: dict[str, JSON] = {}
        self.whole: dict[str, JSON] | None = None
        self.pieces: dict[tuple[_TextField | _ArgumentsField, JSON], list[str]] = {}

    def assemble(self) -> dict[str, JSON]:
        if self.whole is not None:
            return self.whole
        item = dict(self.start)
        lists: dict[str, list[JSON]] = {}
        for (target, _), pieces in self.pieces.items():
            item.setdefault("type", target.item_type)
            if isinstance(target, _TextField):
                entry = {"type": target.entry_type, target.field: "".join(pieces)}
                lists.setdefault(target.list_name, []).append(entry)
            else:
                item[target.field] = "".join(pieces)
        return {**item, **lists}


class OutputItems:
    def __init__(self) -> None:
        self._items: dict[int | str | None, _Item] = {}  # by number in the output, or id

    def add(self, name: str, event: dict[str, JSON]) -> bool:
        """Adds an event; returns True when it has text, reasoning or a piece of a tool call."""
        if name == "response.output_item.added":
            start = self._item(event).start = fields(event.get("item"))
            return has_output(start)
        if name == "response.output_item.done":
            whole = self._item(event).whole = fields(event.get("item"))
            return has_output(whole)
        stem, _, step = name.rpartition(".")
        target = _targets.get(stem)
        if target is None:
            if stem.endswith("_call") and step == "completed":  # a tool that the provider ran
                self._item(event).start.setdefault("type", stem.removeprefix("response."))
            return False
        piece = event.get("delta" if step == "delta" else target.field)
        if not piece or not isinstance(piece, str):
            return False
        number = event.get(target.number) if isinstance(target, _TextField) else None
        key = (target, number if isinstance(number, int) else None)
        item = self._item(event)
        check(len(item.pieces), MAX_BLOCKS, "texts in one item")
        if step == "delta":
            item.pieces.setdefault(key, []).append(piece)
        else:
            item.pieces[key] = [piece]
        return True

    def assemble(self) -> list[dict[str, JSON]]:
        """Returns the items as they would be in the response, had it ended here."""
        return [item.assemble() for item in self._items.values()]

    def heads(self) -> list[dict[str, JSON]]:
        """Returns the items without the texts that came in pieces."""
        return [item.whole or item.start for item in self._items.values()]

    def _item(self, event: dict[str, JSON]) -> _Item:
        key = event.get("output_index")
        if not isinstance(key, int):  # some copies of the API do not send it
            key = text(event.get("item_id")) or text(fields(event.get("item")).get("id"))
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item()
            check(len(self._items), MAX_BLOCKS, "items in the output")
        return item


def has_output(item: dict[str, JSON]) -> bool:
    """Returns True for an item with text, reasoning or a tool call."""
    kind = item.get("type")
    if isinstance(kind, str) and kind in TOOL_CALLS:
        return True
    entries = objects(item.get("content")) + objects(item.get("summary"))
    return any(texts(entry.get(name)) for entry in entries for name in TEXT_FIELDS)
