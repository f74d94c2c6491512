"""The beginning of what was newly said to the model: what lists show of a call without its body."""

from __future__ import annotations

from collections.abc import Sequence

from capture.parsing.parsed_call import StoredPart
from capture.wire.json.lenient import clean, load
from capture.wire.types import JSON

LENGTH = 200
# A message longer than this is looked at only so far as a text without escapes begins it.
MAX_READ = 256 * 1024
# From the end of the history; behind them there is nothing new.
LOOKED_AT = 3
ANSWERING = ("assistant", "model")
# Where the formats put what is said, the nearest first.
KEYS = "text content parts output input_text toolResult functionResponse response result".split()


def preview_of(parts: Sequence[StoredPart]) -> str | None:
    """Of the newest message that is not the model's own; None where it has no text."""
    messages = [part for part in parts[-LOOKED_AT - 2 :] if part.kind == "message"]
    for part in reversed(messages[-LOOKED_AT:]):
        value, note = load(part.data) if len(part.data) <= MAX_READ else (None, "too long")
        if note or (isinstance(value, dict) and value.get("role") in ANSWERING):
            continue
        text = _text(value, depth=6)
        if text:
            return text
    return None


def _text(value: JSON, depth: int) -> str | None:
    if isinstance(value, str):
        return clean(" ".join(value[: LENGTH * 2].split()))[:LENGTH] or None
    if depth == 0:
        return None
    if isinstance(value, list):
        within = value[:20]
    elif isinstance(value, dict):
        within = [value[key] for key in KEYS if key in value]
    else:
        return None
    return next((text for entry in within if (text := _text(entry, depth - 1))), None)
