"""Reports as PDF, made in a process of its own with a bound on its time and memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Literal

from reports.json_encoding import encode

Paper = Literal["a4", "us-letter"]

PROJECT = Path(__file__).resolve().parents[2]
AT_ONCE = 2
_places = BoundedSemaphore(AT_ONCE)
# How long one waits for a place, and how long making a PDF may take.
PATIENCE_S, DEADLINE_S = 20.0, 60.0
# A larger export is not attached: readers of PDFs hold what is attached in memory.
MAX_ATTACHMENT = 64 * 1024 * 1024
ATTACHMENT = "export.json"
_MAX_REASON = 500


class PdfUnavailable(Exception):
    """No PDF could be made now; the message says why."""


def report_pdf(
    context: Mapping[str, Any],
    attachment: bytes | Path | None = None,
    *,
    template: str = "session",
    paper: Paper = "a4",
    deadline_s: float = DEADLINE_S,
) -> bytes:
    """Returns the report as PDF/A-3a with the export attached; the same arguments give the same
    bytes. Raises PdfUnavailable."""
    with tempfile.TemporaryDirectory(prefix="agentledger-report-") as name:
        folder = Path(name)
        attached = _put(attachment, folder / ATTACHMENT) if attachment is not None else None
        logo = _put_logo(context["logo"], folder)
        given = {**context, "template": template, "paper": paper}
        given |= {"attachment": attached, "logo": logo}
        (folder / "data.json").write_bytes(encode(given))
        if not _places.acquire(timeout=PATIENCE_S):
            raise PdfUnavailable(f"{AT_ONCE} PDFs are being made already")
        try:
            _typeset(folder, deadline_s)
        finally:
            _places.release()
        return (folder / "report.pdf").read_bytes()


def _put(attachment: bytes | Path, target: Path) -> dict[str, str] | None:
    if isinstance(attachment, Path):
        if attachment.stat().st_size > MAX_ATTACHMENT:
            return None
        shutil.copyfile(attachment, target)
    else:
        if len(attachment) > MAX_ATTACHMENT:
            return None
        target.write_bytes(attachment)
    return {"file": ATTACHMENT, "description": "The export that this report was made from"}


def _put_logo(url: str | None, folder: Path) -> str | None:
    """Writes the logo of a `data:` URL into the folder and returns its name."""
    if url is None:
        return None
    head, _, data = url.partition(",")
    name = f"logo.{head.partition('/')[2].partition(';')[0].removesuffix('+xml')}"
    (folder / name).write_bytes(b64decode(data))
    return name


def _typeset(folder: Path, deadline_s: float) -> None:
    command = [sys.executable, "-m", "reports.export.typesetting", str(folder)]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": os.environ.get("PATH", "")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_s,
        )
    except subprocess.TimeoutExpired:
        raise PdfUnavailable(f"making it took more than {deadline_s:g} s") from None
    if done.returncode < 0:
        raise PdfUnavailable("making it took more memory or time than it may")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise PdfUnavailable(f"it cannot be typeset: {lines[-1] if lines else ''}"[:_MAX_REASON])
