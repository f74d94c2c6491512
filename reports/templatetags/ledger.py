"""Filters and tags of the pages' templates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now

from capture.wire.json.lenient import dump_indented
from reports.addresses import root
from reports.dashboard.module_preload import find_imports
from reports.dashboard.preferences import Preferences, zone_label
from reports.output import formats
from reports.session_addresses import session_segment

register = template.Library()

register.filter("count", formats.count)
register.filter("duration", formats.duration)
register.filter("bytes", formats.size)
register.filter("share", formats.share)
register.filter("agent_colour", formats.agent_colour)


@register.filter
def usd(amount: Decimal | float | None) -> SafeString:
    """Returns the amount rounded, with the exact amount as its title."""
    if amount is None:
        return format_html('<span title="price unknown">{}</span>', formats.UNKNOWN)
    exact = format(Decimal(str(amount)).normalize(), "f")
    return format_html('<span title="{} USD">{}</span>', exact, formats.usd(amount))


@register.filter
def cost(call: Mapping[str, Any]) -> SafeString:
    """Returns a call's cost, marked `≈` where its tokens are estimated."""
    amount = usd(call["cost_usd"])
    is_estimated = call["usage_source"] == "estimated" and call["cost_usd"] is not None
    return mark_safe(f"≈ {amount}") if is_estimated else amount


_CHIP = '<span class="hidden-character" title="{}">{}</span>'


@register.filter
def visible(text: Any) -> SafeString:
    """Returns the escaped text, with chips that name its invisible characters."""
    if text is None:
        return mark_safe(formats.UNKNOWN)
    parts = [
        escape(part) if name is None else format_html(_CHIP, name, name.split()[0])
        for part, name in formats.split_hidden(str(text))
    ]
    return mark_safe("".join(parts))


@register.filter
def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


@register.filter
def words(text: str) -> list[str]:
    return text.split()


@register.filter
def get(values: Mapping[Any, Any], name: Any) -> Any:
    return values.get(name)


@register.filter
def shorten(text: str, limit: int) -> str:
    return text[:limit]


@register.filter
def as_text(value: Any) -> str:
    """Returns a text unchanged, anything else as JSON."""
    return value if isinstance(value, str) else dump_indented(value)


@register.filter
def usd_text(amount: str | None) -> str:
    """Formats an amount that JSON holds as text."""
    return formats.usd(Decimal(str(amount)) if amount is not None else None)


register.simple_tag(root)
register.filter(session_segment)


@register.filter
def session_url(session_id: str) -> str:
    return f"{root()}/dashboard/sessions/{session_segment(session_id)}/"


@register.filter
def tokens(call: Mapping[str, Any]) -> SafeString:
    """Returns `1,200 → 300`, marked `≈` where it is estimated; the title has the cached tokens."""
    tokens_in, tokens_out, cached = call["tokens_in"], call["tokens_out"], call["tokens_cache_read"]
    if tokens_in is None and tokens_out is None:
        return mark_safe(formats.UNKNOWN)
    about = "≈ " if call["usage_source"] == "estimated" else ""
    title = f"{formats.count(cached)} cached" if cached else "none cached"
    title = "estimated by AgentLedger: the provider reported no usage" if about else title
    shown = f"{about}{formats.count(tokens_in)} → {formats.count(tokens_out)}"
    return format_html('<span title="{}">{}</span>', title, shown)


BADGES = {
    "completed": ("ok", "✓"),
    "running": ("running", "◌ running"),
    "refused": ("blocked", "⛔ refused"),
    "upstream_error": ("bad", "✕ error"),
    "client_left": ("bad", "✕ client left"),
    "upstream_cut": ("bad", "✕ cut"),
    "interrupted": ("bad", "✕ interrupted"),
}


@register.filter
def status(call: Mapping[str, Any]) -> SafeString:
    """Returns a badge, which differs by sign and word and not by colour alone."""
    kind, word = BADGES.get(call["outcome"], ("bad", f"✕ {call['outcome']}"))
    code = call["status_code"]
    shown = f"{word} {code}" if code and call["outcome"] in _WITH_CODE else word
    badge = format_html('<span class="badge {}">{}</span>', kind, shown)
    if call["budget_warning"]:
        badge += mark_safe(' <span class="badge warn">⚠ budget</span>')
    return badge


_WITH_CODE = ("completed", "refused", "upstream_error")


@register.filter
def input_preview(call: Mapping[str, Any]) -> SafeString:
    """Returns the beginning of the call's error, or of its new input."""
    text = call["error_detail"] or call["preview"]
    if text is None:
        return mark_safe(formats.UNKNOWN)
    kind = "wrong" if call["error_detail"] else ""
    return format_html('<span class="{}" title="{}">{}</span>', kind, text, visible(text[:120]))


@register.simple_tag
def module(name: str) -> SafeString:
    """Returns the element that loads a page's module, and those that preload its imports."""
    # Low priority, because nothing is painted before the style sheets are loaded.
    link = '<link rel="modulepreload" fetchpriority="low" href="{}">'
    links = format_html_join("", link, [(static(path),) for path in find_imports(name)])
    return links + format_html('<script type="module" src="{}"></script>', static(name))


@register.simple_tag(takes_context=True)
def when(context: template.Context, at: datetime | None, form: str = "time") -> SafeString:
    """Returns a time in the reader's time zone, with the zone's offset.

    `form` is `time` (with the date unless it is today), `full` (with the date and milliseconds) or
    `ago` (as the time passed since, within a day).
    """
    if at is None:
        return mark_safe(formats.UNKNOWN)
    zone = _preferences(context).zone
    here = at.astimezone(zone)
    label = zone_label(zone, at)
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
