"""Text that can be printed: what no font has, and what has no shape, is written as ⟨U+XXXX⟩.

A PDF for archives may hold no character without a glyph: one that a typesetter would leave blank
makes it fail.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from reports.export.typesetting.coverage import fonts
from reports.output.formats import split_hidden

# They have no width and no glyph, and change how their neighbours look.
_JOINERS = frozenset("\u200d\u200c\ufe0e\ufe0f")
_ZERO_WIDTH_SPACE = "\u200b"
# A line can end within a run of more characters than the first, after each of the second number:
# a digest, of 64, stays in one piece.
LONGEST_RUN, PIECE = 72, 24
_MARK = r"\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u20d0-\u20ff\ufe00-\ufe0f\u200d"
_long_run = re.compile(rf"\S{{{LONGEST_RUN},}}")
_piece = re.compile(rf"(?:\S[{_MARK}]*(?<!\u200d)){{{PIECE}}}(?=\S)(?![{_MARK}])")


class Printer:
    """Makes texts printable and remembers the fonts that they need."""

    def __init__(self) -> None:
        self._used = {0: None}
        self._cleaned: dict[str, str] = {}

    @property
    def families(self) -> list[str]:
        """The families in the order in which a character's font is looked for."""
        used = (fonts()[index].family for index in sorted(self._used))
        return [*dict.fromkeys([*(font.family for font in fonts()[:_N_TEXT]), *used])]

    def printable(self, value: Any) -> Any:
        """Returns the value, of JSON, with its texts as they can be printed."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.printable(one) for one in value]
        if isinstance(value, dict):
            return {key: self.printable(one) for key, one in value.items()}
        return value

    def text(self, text: str) -> str:
        if text.isascii() and text.isprintable():
            return _wrappable(text) if len(text) >= LONGEST_RUN else text
        text = text.replace("\r\n", "\n").replace("\t", "    ")
        pieces = (
            _spell_out(part) if name is not None else self._visible(part)
            for part, name in split_hidden(text)
        )
        shown = "".join(pieces)
        if "⟨" in shown:
            self._used.setdefault(_first_font("⟨"))
        return _wrappable(shown)

    def _visible(self, text: str) -> str:
        return text if _is_simple(text) else "".join(map(self._cluster, _clusters(text)))

    def _cluster(self, cluster: str) -> str:
        if cluster not in self._cleaned:
            self._cleaned[cluster] = self._clean(cluster)
        return self._cleaned[cluster]

    def _clean(self, cluster: str) -> str:
        needed = [c for c in cluster if c not in _JOINERS and c != "\n"]
        index = next((i for i, font in enumerate(fonts()) if all(map(font.has, needed))), None)
        if index is None and len(cluster) > 1:  # no font has them together
            return "".join(map(self._clean_alone, cluster))
        if index is None or _is_lone_mark(cluster):
            return _spell_out(cluster)
        self._used.setdefault(index)
        return cluster

    def _clean_alone(self, character: str) -> str:
        if unicodedata.category(character).startswith("M") or character in _JOINERS:
            return _spell_out(character)
        return self._clean(character)


_N_TEXT = 3  # the first fonts, which are for text in general


def _is_lone_mark(cluster: str) -> bool:
    """Returns whether there is nothing that could bear the mark."""
    return unicodedata.category(cluster[0]).startswith("M") or cluster[0] in _JOINERS


def _first_font(character: str) -> int:
    return next(index for index, font in enumerate(fonts()) if font.has(character))


def _spell_out(text: str) -> str:
    return "".join(f"⟨U+{ord(character):04X}⟩" for character in text)


# What the first font prints, without marks.
_is_simple = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u024f\u0391-\u03a1\u03a3-\u03ce\u0400-\u0482\n]*"
).fullmatch


def _clusters(text: str) -> Iterator[str]:
    """Yields each character with the marks and joiners that follow it."""
    begin = 0
    for at in range(1, len(text)):
        character = text[at]
        if character in _JOINERS or text[at - 1] == "\u200d" or _extends(character):
            continue
        yield text[begin:at]
        begin = at
    yield text[begin:]


@cache
def _extends(character: str) -> bool:
    is_skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return is_skin_tone or unicodedata.category(character).startswith("M")


def _wrappable(text: str) -> str:
    """Lets lines end within long unbroken runs."""
    return _long_run.sub(lambda run: _piece.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", run[0]), text)
