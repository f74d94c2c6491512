"""Which font prints which character: a table made with the fonts, so that no text fails."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

FONTS = Path(__file__).parent / "fonts"
COVERAGE = FONTS / "coverage.json"


@dataclass(frozen=True)
class Font:
    family: str
    file: str
    bounds: tuple[int, ...]  # where its characters begin and end, in turn

    def has(self, character: str) -> bool:
        return bisect_right(self.bounds, ord(character)) % 2 == 1


@cache
def fonts() -> tuple[Font, ...]:
    """Returns the fonts in the order in which a character's font is looked for."""
    return tuple(_read_table())


def _read_table() -> Iterator[Font]:
    for one in json.loads(COVERAGE.read_text()):
        yield Font(one["family"], one["file"], tuple(accumulate(one["ranges"])))
