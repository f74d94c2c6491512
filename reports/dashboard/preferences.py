"""A reader's preferences, stored in cookies so that the server renders pages accordingly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from django.http import HttpRequest

from reports.queries.time_zones import parse_zone

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Preferences:
    zone: tzinfo = UTC
    theme: str | None = None  # None: the system's
    single_keys: bool = True

    @property
    def is_utc(self) -> bool:
        return self.zone is UTC


def read_preferences(request: HttpRequest) -> Preferences:
    theme = request.COOKIES.get("theme")
    return Preferences(
        zone=parse_zone(request.COOKIES.get("tz", "")),
        theme=theme if theme in THEMES else None,
        single_keys=request.COOKIES.get("keys") != "off",
    )


def zone_label(zone: tzinfo, at: datetime) -> str:
    """Returns the zone's offset at this time: `UTC` or `UTC+02:00`."""
    if zone is UTC:
        return "UTC"
    offset = at.astimezone(zone).strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}"
