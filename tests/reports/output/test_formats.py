"""How numbers and texts are written on pages."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.output import formats


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "—"),
        (Decimal(0), "$0.00"),
        (Decimal("0.0004"), "$0.0004"),
        (Decimal("0.000058049"), "$0.00005805"),
        (Decimal("0.01"), "$0.01"),
        (Decimal("1.234"), "$1.23"),
        (Decimal("1234567.891"), "$1,234,567.89"),
        (Decimal("-0.5"), "-$0.50"),
        (0.25, "$0.25"),
    ],
)
def test_costs(amount: Decimal | float | None, shown: str) -> None:
    assert formats.usd(amount) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (None, "—"),
        (0.4, "0 ms"),
        (842.4, "842 ms"),
        (999.6, "1.00 s"),
        (12_340, "12.34 s"),
        (59_999, "1 m 00 s"),
        (125_000, "2 m 05 s"),
        (3_720_000, "1 h 02 m"),
    ],
)
def test_durations(ms: float | None, shown: str) -> None:
    assert formats.duration(ms) == shown


def test_sizes_and_counts() -> None:
    assert [formats.size(n) for n in (None, 0, 999, 1000, 64_000, 10**6, 1_234_567)] == [
        "—",
        "0 bytes",
        "999 bytes",
        "1.0 KB",
        "64.0 KB",
        "1.0 MB",
        "1.2 MB",
    ]
    assert [formats.count(n) for n in (None, 0, 1234567)] == ["—", "0", "1,234,567"]


def test_what_cannot_be_seen_is_named() -> None:
    assert formats.split_hidden("a\u202eb") == [
        ("a", None),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("b", None),
    ]
    assert formats.split_hidden("line\n\tnext") == [("line\n\tnext", None)]
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f"
    assert formats.split_hidden(family) == [(family, None)]
    assert [name for _, name in formats.split_hidden("a\u200db") if name]


def test_invisible_characters_are_spelled_out_where_markup_is_not_allowed() -> None:
    assert formats.spell_out("a\u202eb\nc") == "a⟨U+202E⟩b c"


@given(st.text())
def test_no_character_is_lost(text: str) -> None:
    assert "".join(piece for piece, _ in formats.split_hidden(text)) == text
