"""The form in which texts are compared in any case. It keeps their length, so that an index into
the folded text is the same index into the text."""

from __future__ import annotations

import unicodedata

from capture.wire.json.lenient import clean


def normalize(text: str) -> str:
    """Returns the form that is stored, shown and searched for: one line, without the characters
    that PostgreSQL refuses, composed (NFC)."""
    text = clean(" ".join(text.split()))
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """Returns the text in lower case, with one character for each of the text's."""
    folded = text.lower()
    if folded.isascii():
        return folded
    # The one character whose lower case has two, and the one whose lower case depends on its place:
    # https://www.unicode.org/Public/UCD/latest/ucd/SpecialCasing.txt
    return text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")
