"""How numbers and texts are written on pages. What is unknown is a dash, never 0."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_EVEN, Decimal
from zlib import crc32

UNKNOWN = "—"
AGENT_COLOURS = 10
CENT = Decimal("0.01")


def count(number: int | None) -> str:
    """`1,234`."""
    return UNKNOWN if number is None else f"{number:,}"


def usd(amount: Decimal | float | None) -> str:
    """`$1.23`; below a cent four significant digits: `$0.0004`."""
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
    """`842 ms`, `12.34 s`, `2 m 05 s`, `3 h 02 m`."""
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
    """`812 bytes`, `64.0 KB`, `1.2 MB`."""
    if n_bytes is None:
        return UNKNOWN
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:.1f} KB"
    return f"{n_bytes / 1e6:.1f} MB"


def share(part: float | None) -> str:
    """`12.3 %` of 1."""
    return UNKNOWN if part is None else f"{part * 100:.1f} %"


def agent_colour(name: str | None) -> int:
    """Of an agent, the same on every page. With the `@`, names that agents often have together come
    out different."""
    return crc32(f"@{name}".encode(errors="replace")) % AGENT_COLOURS


# Bidirectional controls, and what takes no room: they make text look like other text.
_HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def split_hidden(text: str) -> list[tuple[str, str | None]]:
    """Pieces of the text in order: as they are (with None), or one character that cannot be seen
    with its name. An emoji's own joiners and selectors are left as they are."""
    pieces: list[tuple[str, str | None]] = []
    begin = 0
    for found in _HIDDEN.finditer(text):
        if _belongs_to_an_emoji(text, found.start()):
            continue
        if found.start() > begin:
            pieces.append((text[begin : found.start()], None))
        pieces.append((found[0], _name(found[0])))
        begin = found.end()
    if begin < len(text):
        pieces.append((text[begin:], None))
    return pieces


def spelled_out(text: str) -> str:
    """On one line, for where no chips can be: characters that cannot be seen as `⟨U+202E⟩`."""
    pieces = split_hidden(text.replace("\n", " ").replace("\t", " "))
    return "".join(piece if name is None else f"⟨{name.split()[0]}⟩" for piece, name in pieces)


def _belongs_to_an_emoji(text: str, at: int) -> bool:
    if text[at] not in "\u200d\ufe0e\ufe0f" or at == 0:
        return False
    before = text[at - 1]
    return unicodedata.category(before) in ("So", "Sk", "Me", "Mn") or before == "\ufe0f"


def _name(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()
