"""Typesets the report in a folder: `data.json` by the template it names, as `report.pdf`.

It is a process of its own, so that nobody else notices what a report takes.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import typst

from reports.export.typesetting.coverage import FONTS
from reports.export.typesetting.printable import Printer

TEMPLATES = Path(__file__).parent
STANDARD: Final = "a-3a"
MEMORY, CPU_S = 1 << 30, 60


def main(folder: Path) -> None:
    _limit_this_process()
    data = json.loads((folder / "data.json").read_bytes())
    printer = Printer()
    printable = printer.printable(data)
    printable["fonts"] = printer.families
    (folder / "data.json").write_text(json.dumps(printable))
    for template in TEMPLATES.glob("*.typ"):
        shutil.copy(template, folder)
    typst.compile(
        str(folder / f"{data['template']}.typ"),
        str(folder / "report.pdf"),
        root=str(folder),
        font_paths=[str(FONTS)],
        ignore_system_fonts=True,
        pdf_standards=STANDARD,
        timestamp=data["at"],
    )


def _limit_this_process() -> None:
    os.nice(10)  # calls come first
    with suppress(OSError):  # if the system must kill one process, then this one
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
