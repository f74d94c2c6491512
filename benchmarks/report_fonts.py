"""Makes the fonts of reports from Noto's packages, and the table of what they can print.

    apt-get download fonts-noto-core fonts-noto-mono fonts-noto-cjk
    for package in *.deb; do dpkg-deb -x $package noto; done
    npm pack @expo-google-fonts/noto-emoji && tar xzf expo-google-fonts-noto-emoji-*.tgz -C noto
    python -m benchmarks.report_fonts noto

A report needs outlines and shaping, no hints, no vertical text, and no other region's glyphs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from reports.export.typesetting.coverage import COVERAGE, FONTS

# In the order in which a character's font is looked for. Scripts in everyday use, and symbols;
# not those of history alone.
TEXT = "NotoSans-Regular NotoSans-Bold NotoSansMono-Regular".split()
SCRIPTS = (
    "Arabic Hebrew Devanagari Thai Armenian Georgian Bengali Gujarati Gurmukhi Kannada Malayalam"
    " Oriya Sinhala Tamil Telugu Khmer Lao Myanmar Ethiopic Thaana Syriac NKo Adlam Cherokee"
    " CanadianAboriginal Mongolian Tifinagh Yi Vai Bamum Javanese Balinese Sundanese Batak Buginese"
    " Cham Chakma HanifiRohingya KayahLi Lepcha Limbu Lisu Mandaic MeeteiMayek Miao NewTaiLue Newa"
    " OlChiki Osage Rejang Saurashtra SoraSompeng SylotiNagri TaiLe TaiTham TaiViet Tagalog Wancho"
    " WarangCiti Coptic Gothic Runic"
).split()
SYMBOLS = ("Math", "Symbols", "Symbols2")
CJK, CJK_NUMBER = "NotoSansCJK-Regular.ttc", 2  # the one for simplified Chinese, of the collection
EMOJI = "NotoEmoji_400Regular.ttf"
FILES = (
    *(f"{name}.ttf" for name in TEXT),
    *(f"NotoSans{name}-Regular.ttf" for name in SCRIPTS),
    "NotoSerifTibetan-Regular.ttf",
    CJK,
    *(f"NotoSans{name}-Regular.ttf" for name in SYMBOLS),
    "NotoMusic-Regular.ttf",
    EMOJI,
)
# Alternates that no text asks for: other regions, vertical text, and forms to be chosen by hand.
NOT_NEEDED = "aalt locl vert vrt2 vhal vpal valt vkrn hwid fwid pwid twid qwid halt palt".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("noto", type=Path, help="the folder of the unpacked packages")
    noto: Path = parser.parse_args().noto
    table = []
    for name in FILES:
        source = next(noto.rglob(name), None)
        if source is None:
            sys.exit(f"{noto} has no {name}")
        font = TTFont(source, fontNumber=CJK_NUMBER if name == CJK else -1)
        family = str(font["name"].getDebugName(1))  # the name that typesetters go by
        target = name.replace(".ttc", ".otf").replace("_400", "-")
        characters = subset(font)
        font.save(FONTS / target)
        table.append({"family": family, "file": target, "ranges": ranges(characters)})
    COVERAGE.write_text(json.dumps(table, separators=(",", ":")).replace("},{", "},\n{") + "\n")
    total = sum(path.stat().st_size for path in FONTS.iterdir())
    print(f"{len(table)} fonts, {total / 1e6:.1f} MB")


def subset(font: TTFont) -> list[int]:
    """Leaves out what reports do not use, and returns the characters that remain."""
    options = Options(hinting=False, name_IDs=["*"], notdef_outline=True, layout_features=["*"])
    subsetter = Subsetter(options)
    # Private use is not allowed in an archived PDF, and controls are spelled out.
    characters = [c for c in font.getBestCmap() if c >= 0x20 and not 0xE000 <= c <= 0xF8FF]
    for table in ("GSUB", "GPOS"):
        if table in font:
            for record in font[table].table.FeatureList.FeatureRecord:
                if record.FeatureTag in NOT_NEEDED:
                    record.Feature.LookupListIndex = []
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    return sorted(font.getBestCmap())


def ranges(characters: list[int]) -> list[int]:
    """Returns beginnings and ends in turn, each as its distance from the number before."""
    bounds: list[int] = []
    for character in characters:
        if bounds and bounds[-1] == character:
            bounds[-1] = character + 1
        else:
            bounds += [character, character + 1]
    return [bound - before for before, bound in zip([0, *bounds], bounds, strict=False)]


if __name__ == "__main__":
    main()
