"""Previews: what the human or the parent agent said last, which lists show without reading a call's
body."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from capture.parsing.human_text import human_text
from capture.parsing.parsed_call import StoredPart
from capture.wire.json.lenient import clean, load

LENGTH = 200
# A longer message is not parsed.
MAX_READ = 256 * 1024
# As many messages are looked at, from the end of the history. An agent may have called as many
# tools since the human spoke.
N_LATEST = 1000
MAX_REMEMBERED = 20_000


class _Memory(OrderedDict[bytes, str | None]):
    """The previews of messages by their digests: a growing history brings them again with each
    call."""

    def preview(self, part: StoredPart) -> str | None:
        try:
            return self[part.digest]
        except KeyError:
            found = self[part.digest] = _read(part.data)
        if len(self) > MAX_REMEMBERED:
            self.popitem(last=False)
        return found


_memory = _Memory()


def preview_of(parts: Sequence[StoredPart]) -> str | None:
    """Returns the beginning of what was said last; None if nobody said anything."""
    for part in reversed(parts[-N_LATEST:]):
        if part.kind == "message" and (said := _memory.preview(part)):
            return said
    return None


def _read(data: bytes) -> str | None:
    value, note = load(data) if len(data) <= MAX_READ else (None, "too long")
    text = human_text(value) if note is None else None
    return clean(" ".join(text[: LENGTH * 2].split()))[:LENGTH] or None if text else None
