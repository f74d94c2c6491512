"""The field of a call that matched, and the text around the words, with the words marked."""

from __future__ import annotations

import re
from html import escape

from reports.search.documents import Document
from reports.search.folding import fold
from reports.search.query import Query

BEFORE = 60
LENGTH = 200  # characters of a text that are shown


def field_and_snippet(document: Document, query: Query) -> tuple[str, str]:
    """Returns the first of the fields that contain the most of the words, and a snippet of its
    text. The snippet is HTML: escaped text, with the words in <mark>."""
    index, folded = max(
        enumerate(map(fold, document.texts)),
        key=lambda field: (sum(word in field[1] for word in query.words), -field[0]),
    )
    return document.fields[index], _snippet(document.texts[index], folded, query)


def _snippet(text: str, folded: str, query: Query) -> str:
    first = min(at for word in query.words if (at := folded.find(word)) >= 0)
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
