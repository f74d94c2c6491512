"""Texts for the calls of a benchmark: the docstrings of installed Python packages, and Django's
translations for other scripts."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

TEXT_CHARACTERS = 40_000_000
LANGUAGES = ("de", "fr", "ru", "el", "zh_Hans", "ja")


def texts() -> str:
    """Some tens of millions of characters, always the same on one machine."""
    packages = [Path(path) for path in sys.path if path.endswith("site-packages")]
    files = sorted(file for folder in packages for file in folder.rglob("*.py"))
    random.Random(0).shuffle(files)
    found: list[str] = []
    size = 0
    for file in files:
        source = file.read_text(errors="replace")
        found += [" ".join(doc.split()) for doc in re.findall(r'"""(.*?)"""', source, re.DOTALL)]
        found.append(source[:500])
        size += sum(map(len, found[-2:]))
        if size > TEXT_CHARACTERS:
            break
    for language in LANGUAGES:
        for folder in packages:
            for file in sorted(folder.rglob(f"locale/{language}/**/*.po")):
                translations = re.findall(r'msgstr "(.+)"', file.read_text())
                found += [" ".join(translations)] * 3
    random.Random(0).shuffle(found)
    return "\n".join(found)
