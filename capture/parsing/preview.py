"""Previews: the beginning of the new input of a call, which lists show without reading its body."""

from __future__ import annotations

from collections.abc import Sequence

from capture.parsing.parsed_call import StoredPart
from capture.wire.json.lenient import clean, load
from capture.wire.types import JSON

LENGTH = 200
# A longer message is not parsed.
MAX_READ = 256 * 1024
# As many messages at the end of the history are read; earlier ones are not new.
N_LATEST = 3
MODEL_ROLES = ("assistant", "model")
# The fields in which formats have texts, by preference.
KEYS = "text content parts output input_text toolResult functionResponse response result".split()


def preview_of(parts: Sequence[StoredPart]) -> str | None:
    """Returns the beginning of the newest message that is not the model's own; None if none of the
    latest has a text."""
    messages = [part for part in parts[-N_LATEST - 2 :] if part.kind == "message"]
    for part in reversed(messages[-N_LATEST:]):
        value, note = load(part.data) if len(part.data) <= MAX_READ else (None, "too long")
        if note or (isinstance(value, dict) and value.get("role") in MODEL_ROLES):
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
