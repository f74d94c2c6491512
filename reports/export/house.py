"""The head of reports: the house's own title and logo, or ours."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

from django.conf import settings

TITLE = "AgentLedger"
# By suffix: what a page and a PDF both show.
MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}


def house() -> dict[str, Any]:
    """Returns the title, and the logo as a URL that holds it; None without one."""
    config = settings.AGENTLEDGER
    return {"house": config.report_title or TITLE, "logo": _logo(config.report_logo)}


def _logo(name: str | None) -> str | None:
    if name is None:
        return None
    path = Path.cwd() / name
    return f"data:{MEDIA_TYPES[path.suffix.lower()]};base64,{b64encode(path.read_bytes()).decode()}"
