"""Calls as rows of the page, for clients that are one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from functools import cache
from typing import Any

from django.template.loader import get_template
from django.urls import set_script_prefix

from reports.dashboard.preferences import Preferences
from reports.queries.call_list import ShortCall

TEMPLATE = "dashboard/_call_row.html"


def render_rows(calls: Iterable[ShortCall], zone: tzinfo, root: str) -> list[str]:
    # The feed serves many requests, and this is none of them.
    set_script_prefix(f"{root}/")
    preferences = Preferences(zone=zone)
    return [_template().render({"call": call, "preferences": preferences}) for call in calls]


@cache
def _template() -> Any:
    return get_template(TEMPLATE)
