"""What templates of pages write with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from django import template
from django.templatetags.static import static
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now

from reports.analysis.message_view import pretty
from reports.dashboard import formats
from reports.dashboard.module_preload import imported
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
def cost(call: Mapping[str, Any]) -> SafeString:
    """Of a call, with `≈` where its tokens are estimated."""
    amount = usd(call["cost_usd"])
    is_estimated = call["usage_source"] == "estimated" and call["cost_usd"] is not None
    return mark_safe(f"≈ {amount}") if is_estimated else amount


_CHIP = '<span class="hidden-character" title="{}">{}</span>'


@register.filter
def visible(text: Any) -> SafeString:
    """The text, escaped, with characters that cannot be seen as chips that name them."""
    if text is None:
        return mark_safe(formats.UNKNOWN)
    pieces = [
        escape(piece)
        if name is None
        else format_html(
            '<span class="hidden-character" title="{}">{}</span>', name, name.split()[0]
        )
        for piece, name in formats.split_hidden(str(text))
    ]
    return mark_safe("".join(pieces))


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
def cut(text: str, limit: int) -> str:
    return text[:limit]


@register.filter
def as_text(value: Any) -> str:
    """A text as it is; everything else as JSON."""
    return value if isinstance(value, str) else pretty(value)


@register.filter
def usd_text(amount: str | None) -> str:
    """Of an amount as JSON keeps it."""
    return formats.usd(Decimal(str(amount)) if amount is not None else None)


@register.filter
def session_url(session_id: str) -> str:
    return f"/dashboard/sessions/{quote(session_id, safe='')}/"


@register.filter
def tokens(call: Mapping[str, Any]) -> SafeString:
    """`1,200 → 300`, with `≈` where they are estimated; what was cached is in the title."""
    came, went, cached = call["tokens_in"], call["tokens_out"], call["tokens_cache_read"]
    if came is None and went is None:
        return mark_safe(formats.UNKNOWN)
    about = "≈ " if call["usage_source"] == "estimated" else ""
    title = f"cached {formats.count(cached)}" if cached else "none cached"
    title = "estimated by AgentLedger: the provider sent no usage" if about else title
    shown = f"{about}{formats.count(came)} → {formats.count(went)}"
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
    """As a badge: by shape and word, never by colour alone."""
    kind, word = BADGES.get(call["outcome"], ("bad", f"✕ {call['outcome']}"))
    code = call["status_code"]
    shown = f"{word} {code}" if code and call["outcome"] in _WITH_CODE else word
    badge = format_html('<span class="badge {}">{}</span>', kind, shown)
    if call["budget_warning"]:
        badge += mark_safe(' <span class="badge warn">⚠ budget</span>')
    return badge


_WITH_CODE = ("completed", "refused", "upstream_error")


@register.filter
def said(call: Mapping[str, Any]) -> SafeString:
    """What was newly said, or what went wrong."""
    text = call["error_detail"] or call["preview"]
    if text is None:
        return mark_safe(formats.UNKNOWN)
    kind = "wrong" if call["error_detail"] else ""
    return format_html('<span class="{}" title="{}">{}</span>', kind, text, visible(text[:120]))


@register.simple_tag
def module(name: str) -> SafeString:
    """A page's module, and its imports asked for at once."""
    # Not before the styles: nothing is painted without these.
    link = '<link rel="modulepreload" fetchpriority="low" href="{}">'
    links = format_html_join("", link, [(static(one),) for one in imported(name)])
    return links + format_html('<script type="module" src="{}"></script>', static(name))


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
