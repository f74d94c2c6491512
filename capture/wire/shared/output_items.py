"""The output of a Responses stream, put together from its events."""

from __future__ import annotations

from typing import NamedTuple

from capture.wire.json.fields import fields, objects, text, texts
from capture.wire.types import JSON

TOOL_CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "local_shell_call": "action",
    "shell_call": "action",
    "computer_call": "action",
    "apply_patch_call": "operation",
}
"""The calls of tools that the agent runs, and the field in which the model says what it wants.

Those that OpenAI runs (web_search_call and so on) are steps of the answer, which nobody answers.
"""


TEXT_FIELDS = ("text", "refusal", "transcript")
"""The fields in which an entry of a message's content says something."""


class _Text(NamedTuple):
    """Where the text of an event belongs: an entry of a list in an item of this type."""

    item_type: str
    list_name: str
    entry_type: str
    field: str
    number: str  # the event's field that tells which entry


class _Arguments(NamedTuple):
    item_type: str
    field: str


_places: dict[str, _Text | _Arguments] = {
    "response.output_text": _Text("message", "content", "output_text", "text", "content_index"),
    "response.refusal": _Text("message", "content", "refusal", "refusal", "content_index"),
    "response.reasoning_text": _Text(
        "reasoning", "content", "reasoning_text", "text", "content_index"
    ),
    "response.reasoning_summary_text": _Text(
        "reasoning", "summary", "summary_text", "text", "summary_index"
    ),
    # Realtime's, of a voice and, in its first version, of a text.
    "response.output_audio_transcript": _Text(
        "message", "content", "output_audio", "transcript", "content_index"
    ),
    "response.audio_transcript": _Text(
        "message", "content", "audio", "transcript", "content_index"
    ),
    "response.text": _Text("message", "content", "text", "text", "content_index"),
    "response.function_call_arguments": _Arguments("function_call", "arguments"),
    "response.custom_tool_call_input": _Arguments("custom_tool_call", "input"),
}


class _Item:
    def __init__(self) -> None:
        self.start: dict[str, JSON] = {}
        self.whole: dict[str, JSON] | None = None
        self.pieces: dict[tuple[_Text | _Arguments, JSON], list[str]] = {}

    def assemble(self) -> dict[str, JSON]:
        if self.whole is not None:
            return self.whole
        item = dict(self.start)
        lists: dict[str, list[JSON]] = {}
        for (place, _), pieces in self.pieces.items():
            item.setdefault("type", place.item_type)
            if isinstance(place, _Text):
                entry = {"type": place.entry_type, place.field: "".join(pieces)}
                lists.setdefault(place.list_name, []).append(entry)
            else:
                item[place.field] = "".join(pieces)
        return {**item, **lists}


class OutputItems:
    def __init__(self) -> None:
        self._items: dict[int | str | None, _Item] = {}  # by number in the output, or id

    def add(self, name: str, event: dict[str, JSON]) -> bool:
        """Whether the event brought text, reasoning or a piece of a tool call."""
        if name == "response.output_item.added":
            start = self._item(event).start = fields(event.get("item"))
            return has_output(start)
        if name == "response.output_item.done":
            whole = self._item(event).whole = fields(event.get("item"))
            return has_output(whole)
        stem, _, step = name.rpartition(".")
        place = _places.get(stem)
        if place is None:
            return False
        piece = event.get("delta" if step == "delta" else place.field)
        if not piece or not isinstance(piece, str):
            return False
        number = event.get(place.number) if isinstance(place, _Text) else None
        key = (place, number if isinstance(number, int) else None)
        item = self._item(event)
        if step == "delta":
            item.pieces.setdefault(key, []).append(piece)
        else:
            item.pieces[key] = [piece]
        return True

    def assemble(self) -> list[dict[str, JSON]]:
        """As they would stand in the answer, had it ended here."""
        return [item.assemble() for item in self._items.values()]

    def _item(self, event: dict[str, JSON]) -> _Item:
        key = event.get("output_index")
        if not isinstance(key, int):  # not all copies of the API send it
            key = text(event.get("item_id")) or text(fields(event.get("item")).get("id"))
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item()
        return item


def has_output(item: dict[str, JSON]) -> bool:
    """Whether an item holds text, reasoning or a tool call."""
    kind = item.get("type")
    if isinstance(kind, str) and kind in TOOL_CALLS:
        return True
    entries = objects(item.get("content")) + objects(item.get("summary"))
    return any(texts(entry.get(name)) for entry in entries for name in TEXT_FIELDS)
