"""The form in which texts are compared, whatever their case. It keeps the length, so that a place
in the folded text is the same place in the text."""

from __future__ import annotations

import unicodedata

from capture.wire.json.lenient import clean


def tidy(text: str) -> str:
    """One line, as PostgreSQL takes it, composed (NFC): what is stored, shown and asked for."""
    text = clean(" ".join(text.split()))
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    folded = text.lower()
    if folded.isascii():
        return folded
    # The one character whose small form is two, and the one whose small form depends on its place:
    # https://www.unicode.org/Public/UCD/latest/ucd/SpecialCasing.txt
    return text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")
