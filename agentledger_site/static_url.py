"""The URL of static files contains a digest of them all: browsers cache them for ever, and a new
version has new URLs. Modules and style sheets refer to each other by relative paths, so one digest
for all of them needs no build step."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("django", "djangorestframework", "django-htmx", "drf-spectacular-sidecar")


def content_digest() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        digest.update(f"{package} {version(package)}\n".encode())
    for path in sorted((PROJECT / "static").rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(PROJECT)).encode() + b"\n")
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
