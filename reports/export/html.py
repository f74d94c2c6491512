"""Reports as HTML: a page that links its styles, or a file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

STYLES = "report/report.css"


def render_report(
    template: str, context: Mapping[str, Any], request: HttpRequest | None = None
) -> str:
    """Returns the page for `request`; without one, a file of its own, with its styles in it."""
    if request is not None:
        return render_to_string(template, dict(context), request)
    styles = mark_safe(Path(str(finders.find(STYLES))).read_text())
    return render_to_string(template, {**context, "styles": styles, "version": settings.VERSION})
