"""The query of a search: words that must all occur in a call, in any order; quotes make a
phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reports.search.folding import fold, normalize

MAX_LENGTH = 500
MAX_WORDS = 20
ACCEPTED = (
    f'words that must all occur, "in quotes" a phrase: 1 to {MAX_WORDS} words,'
    f" at most {MAX_LENGTH} characters"
)

# A phrase ends at a quote before a space, or with the query, which may still be typed. Quotes
# within a word belong to it: {"city":"Paris"}.
_WORD = re.compile(r'"(.*?)(?:"(?=\s|$)|$)|(\S+)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Query:
    words: tuple[str, ...]  # folded, longest first

    @classmethod
    def parse(cls, text: str) -> Query:
        """Raises ValueError with what is accepted."""
        found = (normalize(phrase or word) for phrase, word in _WORD.findall(text))
        words = sorted({fold(word) for word in found} - {""}, key=lambda w: (-len(w), w))
        # A word that is part of another one is implied by it.
        needed = [w for n, w in enumerate(words) if not any(w in longer for longer in words[:n])]
        if not needed or len(needed) > MAX_WORDS or len(text) > MAX_LENGTH:
            raise ValueError(ACCEPTED)
        return cls(tuple(needed))

    def matches(self, folded: str) -> bool:
        return all(word in folded for word in self.words)
