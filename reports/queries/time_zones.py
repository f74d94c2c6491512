"""Time zones as cookies and parameters name them."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def parse_zone(name: str) -> tzinfo:
    """Returns the zone with this IANA name, and UTC for a name that is unknown or empty."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name.replace("%2F", "/"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
