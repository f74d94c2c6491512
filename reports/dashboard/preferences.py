"""How a reader likes pages: kept in cookies, so that pages come that way from the server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest

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
        zone=zone_of(request.COOKIES.get("tz", "")),
        theme=theme if theme in THEMES else None,
        single_keys=request.COOKIES.get("keys") != "off",
    )


def zone_of(name: str) -> tzinfo:
    """UTC for what is no zone."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name.replace("%2F", "/"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def label_of(zone: tzinfo, at: datetime) -> str:
    """`UTC`, `UTC+02:00`: as it holds at this time."""
    if zone is UTC:
        return "UTC"
    offset = at.astimezone(zone).strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}"
