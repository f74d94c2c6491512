"""Texts of a report: blocks of messages, cut where they are long, and values for people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from reports.analysis.message_view import MessageBlock, MessageView
from reports.output.formats import UNKNOWN, size

MAX_BLOCK = 2_500  # characters shown of one text
MAX_LINES = 120
MAX_VALUE = 300  # characters of a name or a sentence
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass
class Room:
    """The characters that are left for the texts of one call."""

    characters: int

    def take(self, text: str) -> str:
        shown = text[: max(min(self.characters, MAX_BLOCK), 0)]
        lines = shown.split("\n", MAX_LINES)
        if len(lines) > MAX_LINES:
            shown = "\n".join(lines[:MAX_LINES])
        self.characters -= len(shown)
        return shown


def message(view: MessageView, pointer: str, room: Room) -> dict[str, Any]:
    """Returns a message as templates take it. `pointer` is its place in the JSON export."""
    return {
        "role": brief(view.role),
        "blocks": [_block(block, pointer, room) for block in view.blocks],
    }


def _block(block: MessageBlock, pointer: str, room: Room) -> dict[str, Any]:
    if block.binary is not None:
        kind, n_bytes, digest = block.binary
        text = f"{kind}, {size(n_bytes)}, SHA-256 {digest}"
        return _text_block(text, pointer, Room(len(text)), label="binary content")
    is_code = block.kind in ("json", "tool_call", "tool_result")
    label = _label(block)
    return _text_block(block.text, pointer, room, label, is_code, block.is_error)


def _label(block: MessageBlock) -> str | None:
    name = brief(block.name or UNKNOWN)
    id_ = f" · {brief(block.id)}" if block.id else ""
    return {
        "tool_call": f"calls {name}{id_}",
        "tool_result": f"tool result{id_}{' · error' if block.is_error else ''}",
        "thinking": "thinking",
        "json": "JSON",
    }.get(block.kind)


def _text_block(
    text: str,
    pointer: str,
    room: Room,
    label: str | None = None,
    is_code: bool = False,
    is_error: bool = False,
) -> dict[str, Any]:
    shown = room.take(text)
    n_cut = len(text) - len(shown)
    cut = f"… {n_cut:,} more characters: {pointer} of the JSON export" if n_cut else None
    return {
        "label": label,
        "text": shown,
        "rtl": is_right_to_left(shown),
        "is_code": is_code,
        "is_error": is_error,
        "cut": cut,
    }


def is_right_to_left(text: str) -> bool:
    """Returns whether the first letter belongs to a script that is written to the left."""
    letter = _LETTER.search(text)
    return letter is not None and _RIGHT_TO_LEFT.match(letter[0]) is not None


def brief(text: str) -> str:
    """Returns a text on one line, cut where it is long."""
    line = " ".join(text.split("\n"))
    return line if len(line) <= MAX_VALUE else f"{line[:MAX_VALUE]}… ({len(line):,} characters)"


def brief_list(names: list[str], most: int = 20) -> str:
    if not names:
        return UNKNOWN
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(brief, names[:most])) + more


def at_utc(at: datetime | None) -> str:
    """Returns a time with its milliseconds, in UTC."""
    if at is None:
        return UNKNOWN
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"


def exact_usd(amount: Decimal | None) -> str:
    """Returns the amount without rounding: a report is added up by others."""
    if amount is None:
        return UNKNOWN
    return f"{format(amount.normalize(), 'f')} USD"
