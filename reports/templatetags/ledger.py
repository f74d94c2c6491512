"""What templates of pages write with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now

from reports.dashboard import formats
from reports.dashboard.preferences import Preferences, label_of

register = template.Library()

register.filter("duration", formats.duration)
register.filter("bytes", formats.size)
register.filter("share", formats.share)
register.filter("agent_colour", formats.agent_colour)


@register.filter
def count(number: int | None) -> str:
    return formats.count(number)


@register.filter
def usd(amount: Decimal | float | None) -> SafeString:
    """With the whole amount in its title."""
    if amount is None:
        return format_html('<span title="price unknown">{}</span>', formats.UNKNOWN)
    exact = format(Decimal(str(amount)).normalize(), "f")
    return format_html('<span title="{} USD">{}</span>', exact, formats.usd(amount))


@register.filter
def visible(text: Any) -> SafeString:
    """The text, escaped, with characters that cannot be seen as chips that name them."""
    if text is None:
        return mark_safe(formats.UNKNOWN)
    pieces = [
        escape(piece)
        if name is None
        else format_html('<span class="hidden-character" title="{}">{}</span>', name, name[:6])
        for piece, name in formats.split_hidden(str(text))
    ]
    return mark_safe("".join(pieces))


@register.simple_tag(takes_context=True)
def when(context: template.Context, at: datetime | None, form: str = "time") -> SafeString:
    """A time in the reader's zone, which it names. `form`: `time` (with the date unless it is
    today's), `full` (with the date, to the millisecond) or `ago` (how long ago, within a day)."""
    if at is None:
        return mark_safe(formats.UNKNOWN)
    zone = _preferences(context).zone
    here = at.astimezone(zone)
    label = label_of(zone, at)
    full = f"{here:%Y-%m-%d %H:%M:%S}.{here.microsecond // 1000:03} {label}"
    shown = {"full": full, "time": _short(here, label), "ago": _ago(at, here, label)}[form]
    iso = at.astimezone(UTC).isoformat()
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, full, shown)


def _preferences(context: template.Context) -> Preferences:
    preferences: Preferences = context["preferences"]
    return preferences


def _short(here: datetime, label: str) -> str:
    is_today = here.date() == now().astimezone(here.tzinfo).date()
    return f"{here:%H:%M:%S} {label}" if is_today else f"{here:%Y-%m-%d %H:%M} {label}"


def _ago(at: datetime, here: datetime, label: str) -> str:
    since = now() - at
    if since < timedelta(0) or since >= timedelta(days=1):
        return _short(here, label)
    seconds = int(since.total_seconds())
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
