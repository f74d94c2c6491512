"""The format of numbers and texts on pages and in reports. An unknown value is a dash, never 0."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_EVEN, Decimal
from zlib import crc32

UNKNOWN = "—"
AGENT_COLOURS = 10
CENT = Decimal("0.01")


def count(number: int | None) -> str:
    """Returns `1,234`."""
    return UNKNOWN if number is None else f"{number:,}"


def usd(amount: Decimal | float | None) -> str:
    """Returns `$1.23`; below one cent four significant digits, as in `$0.0004321`."""
    if amount is None:
        return UNKNOWN
    amount = Decimal(str(amount)) if isinstance(amount, float) else amount
    if amount == 0:
        return "$0.00"
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if size >= CENT:
        return f"{sign}${size.quantize(CENT, ROUND_HALF_EVEN):,}"
    rounded = size.quantize(Decimal(1).scaleb(size.adjusted() - 3), ROUND_HALF_EVEN)
    return f"{sign}${format(rounded, 'f').rstrip('0')}"


def duration(ms: float | None) -> str:
    """Returns `842 ms`, `12.34 s`, `2 m 05 s` or `3 h 02 m`."""
    if ms is None:
        return UNKNOWN
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_995:
        return f"{ms / 1e3:.2f} s"
    seconds = round(ms / 1e3)
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} m"


def size(n_bytes: int | None) -> str:
    """Returns `812 bytes`, `64.0 KB` or `1.2 MB`."""
    if n_bytes is None:
        return UNKNOWN
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:.1f} KB"
    return f"{n_bytes / 1e6:.1f} MB"


def share(part: float | None) -> str:
    """Returns a share of 1 as `12.3 %`."""
    return UNKNOWN if part is None else f"{part * 100:.1f} %"


def agent_colour(name: str | None) -> int:
    """Returns the number of the agent's colour, which is the same on every page.

    The `@` makes names that often occur together come out different.
    """
    return crc32(f"@{name}".encode(errors="replace")) % AGENT_COLOURS


# Bidirectional controls and characters without width, which make a text look like another one.
_HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def split_hidden(text: str) -> list[tuple[str, str | None]]:
    """Splits a text at its invisible characters, and returns (text, None) for visible parts and
    (character, name) for each invisible one.

    Joiners and selectors that belong to an emoji count as visible.
    """
    parts: list[tuple[str, str | None]] = []
    begin = 0
    for found in _HIDDEN.finditer(text):
        if _belongs_to_an_emoji(text, found.start()):
            continue
        if found.start() > begin:
            parts.append((text[begin : found.start()], None))
        parts.append((found[0], _name(found[0])))
        begin = found.end()
    if begin < len(text):
        parts.append((text[begin:], None))
    return parts


def spell_out(text: str) -> str:
    """Returns the text on one line, with invisible characters written as `⟨U+202E⟩`; for places
    that hold no markup."""
    parts = split_hidden(text.replace("\n", " ").replace("\t", " "))
    return "".join(part if name is None else f"⟨{name.split()[0]}⟩" for part, name in parts)


def _belongs_to_an_emoji(text: str, at: int) -> bool:
    if text[at] not in "\u200d\ufe0e\ufe0f" or at == 0:
        return False
    before = text[at - 1]
    return unicodedata.category(before) in ("So", "Sk", "Me", "Mn") or before == "\ufe0f"


def _name(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()
