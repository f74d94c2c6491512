"""Where a call was hit: the field, and the text around, with the words marked."""

from __future__ import annotations

import re
from html import escape

from reports.search.documents import Document
from reports.search.folding import fold
from reports.search.query import Query

BEFORE = 60
LENGTH = 200  # characters of a text that are shown


def field_and_snippet(document: Document, query: Query) -> tuple[str, str]:
    """Of the field that has the most of the words, the first of these. The snippet is HTML: text
    escaped, words in <mark>."""
    place, text = max(
        enumerate(map(fold, document.texts)),
        key=lambda one: (sum(word in one[1] for word in query.words), -one[0]),
    )
    return document.fields[place], _snippet(document.texts[place], text, query)


def _snippet(text: str, folded: str, query: Query) -> str:
    first = min(place for word in query.words if (place := folded.find(word)) >= 0)
    start = max(0, first - BEFORE)
    end = min(len(text), max(start + LENGTH, first + max(map(len, query.words))))
    out = ["…"] if start > 0 else []
    done = start
    for found in re.finditer("|".join(map(re.escape, query.words)), folded[:end]):
        if found.start() >= start:
            out += [escape(text[done : found.start()]), "<mark>"]
            out += [escape(text[found.start() : found.end()]), "</mark>"]
            done = found.end()
    out.append(escape(text[done:end]))
    if end < len(text):
        out.append("…")
    return "".join(out)
