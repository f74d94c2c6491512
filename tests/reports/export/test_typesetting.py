"""PDFs of hostile texts: each is made, each character is printed or spelled out."""

from __future__ import annotations

import io
import unicodedata
from typing import Any

import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from reports.export.pdf import PdfUnavailable, report_pdf
from reports.export.typesetting.coverage import FONTS, fonts
from reports.export.typesetting.printable import LONGEST_RUN, PIECE, Printer

MAX_FONTS = 30_000_000  # bytes, all together
MARKS = [chr(c) for c in range(0x300, 0x3100) if unicodedata.category(chr(c)).startswith("M")]
JOINERS = "\u200c\u200d\ufe0e\ufe0f\u20e3\U0001f3fb\U000e0067"
texts = st.lists(
    st.text(st.characters(codec="utf-8"))
    | st.text(st.sampled_from(MARKS + list(JOINERS)), min_size=1, max_size=4)
    | st.sampled_from(["👩🏽\u200d🚀", "🏳\ufe0f\u200d🌈", "🇩🇪", "क्षि", "ภาษาไทย", "한국어", "한"])
).map("".join)


def context(*blocks: str, **others: Any) -> dict[str, Any]:
    shown = [
        {"label": None, "text": b, "rtl": False, "is_code": False, "is_error": False, "cut": None}
        for b in blocks
    ]
    call = {
        "number": 1, "title": "Call 1", "reason": None, "facts": [["Time", "now"]],
        "unchanged": None, "messages": [{"role": "user", "blocks": shown}], "hashes": [],
    }  # fmt: skip
    return {
        "house": "AgentLedger", "logo": None, "at": 1_700_000_000,
        "date": [2023, 11, 14, 22, 13, 20],
        "title": "Session", "running_title": "Session", "subtitle": "", "foot": "",
        "facts": [], "tables": [], "pictures": [], "calls": [call], "gaps": [], "commands": [],
        "verification": {"tone": "", "result": "none", "facts": [], "differing": []},
        "not_proven": ["nothing"], **others,
    }  # fmt: skip


def text_of(data: bytes) -> str:
    found = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)
    return found.replace("\u200b", "")


def is_drawn(data: bytes) -> bool:
    """Whether each page has something on it, as a reader sees it."""
    pages = pypdfium2.PdfDocument(data)
    pictures = [page.render(scale=0.5).to_pil().convert("L") for page in pages]
    return all(picture.getextrema()[0] < 128 for picture in pictures)


def test_the_fonts_are_few_and_licensed() -> None:
    assert {font.file for font in fonts()} | {"OFL.txt", "README.md", "coverage.json"} == {
        path.name for path in FONTS.iterdir()
    }
    assert sum(path.stat().st_size for path in FONTS.iterdir()) <= MAX_FONTS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Ελλάδα Москва", "Ελλάδα Москва"),
        ("日本語 한국어 中文", "日本語 한국어 中文"),
        ("👩🏽\u200d🚀 🇩🇪", "👩🏽\u200d🚀 🇩🇪"),
        ("a\x00b", "a⟨U+0000⟩b"),
        ("a\u202egpj.exe", "a⟨U+202E⟩gpj.exe"),
        ("\ue000", "⟨U+E000⟩"),
        ("\U00012000", "⟨U+12000⟩"),  # cuneiform
        ("\ufffe", "⟨U+FFFE⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\u0301", "⟨U+0301⟩"),
        ("a\u093c", "a⟨U+093C⟩"),  # no font has both
        ("a\tb\r\nc", "a    b\nc"),
    ],
)
def test_what_is_spelled_out(text: str, shown: str) -> None:
    assert Printer().text(text) == shown


def test_long_runs_may_be_broken_and_digests_stay_whole() -> None:
    digest = "0123456789abcdef" * 4
    assert Printer().text(digest) == digest
    run = Printer().text("x" * 65_536)
    assert {len(piece) for piece in run.split("\u200b")} <= {PIECE, 65_536 % PIECE}
    assert run.replace("\u200b", "") == "x" * 65_536
    assert len(digest) < LONGEST_RUN


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(texts, min_size=8, max_size=8))
def test_no_text_fails(some: list[str]) -> None:
    data = report_pdf(context(*some))
    assert data.startswith(b"%PDF-1.7")


def test_texts_are_no_markup_and_no_script() -> None:
    hostile = '#panic("x") $ *bold* _it_ `raw` <label> @ref = H \\ // c [x] #image("/etc/passwd")'
    data = report_pdf(context(hostile, "<script>alert(1)</script>"))
    shown = " ".join(text_of(data).split())
    assert hostile in shown
    assert "<script>alert(1)</script>" in shown
    assert b"/JavaScript" not in data


def test_unbroken_texts_stay_on_their_pages() -> None:
    data = report_pdf(context("W" * 65_536, "記" * 5_000, "é" * 5_000))
    assert text_of(data).count("W") >= 65_536
    for page in pypdfium2.PdfDocument(data):
        picture = page.render(scale=0.5).to_pil().convert("L")
        edge = picture.crop((picture.width - 20, 0, picture.width, picture.height))
        assert edge.getextrema()[0] > 200  # the margin is empty


def test_every_page_is_drawn() -> None:
    scripts = [
        "Grüße, Ελλάδα, Москва",
        "مرحبا",
        "שלום",
        "नमस्ते",
        "สวัสดี",
        "你好",
        "こんにちは",
        "🚀∑",
    ]
    data = report_pdf(context(*scripts))
    assert is_drawn(data)
    found = text_of(data)
    for text in ("Grüße", "Москва", "你好", "こんにちは", "🚀"):
        assert text in found


def test_what_takes_too_long_ends_alone() -> None:
    with pytest.raises(PdfUnavailable, match="more than"):
        report_pdf(context("hello"), deadline_s=0.01)
    with pytest.raises(PdfUnavailable, match="cannot be typeset"):
        report_pdf(context("hello"), template="missing")
    assert report_pdf(context("hello"))
