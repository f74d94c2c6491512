"""How a reader likes pages: kept in cookies, so that pages come that way from the server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from django.http import HttpRequest

from reports.queries.time_zones import parse_zone

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Preferences:
    zone: tzinfo = UTC
    theme: str | None = None  # None: as the system says
    single_keys: bool = True

    @property
    def is_utc(self) -> bool:
        return self.zone is UTC


def preferences_of(request: HttpRequest) -> Preferences:
    theme = request.COOKIES.get("theme")
    return Preferences(
        zone=parse_zone(request.COOKIES.get("tz", "")),
        theme=theme if theme in THEMES else None,
        single_keys=request.COOKIES.get("keys") != "off",
    )


def label_of(zone: tzinfo, at: datetime) -> str:
    """`UTC`, `UTC+02:00`: as it holds at this time."""
    if zone is UTC:
        return "UTC"
    offset = at.astimezone(zone).strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}"
