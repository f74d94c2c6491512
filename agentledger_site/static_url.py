"""Static files lie below a path that names what is in them: browsers keep them for good, and a new
version has new addresses. Modules and style sheets find each other by relative paths, so one name
for all of them needs no build step."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
THEIRS = ("django", "djangorestframework", "django-htmx", "drf-spectacular-sidecar")


def name_of_contents() -> str:
    digest = hashlib.sha256()
    for package in THEIRS:
        digest.update(f"{package} {version(package)}\n".encode())
    for path in sorted((PROJECT / "static").rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(PROJECT)).encode() + b"\n")
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
