"""The facts beside a call's messages: cost by item, speed, tools, and the request as a command."""

from __future__ import annotations

import shlex
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from reports.addresses import proxy_url
from reports.queries import records
from reports.queries.records import Record

COST_TITLES = {
    "input": "Input",
    "cache_read": "Cached input",
    "cache_write": "Cache write",
    "output": "Output",
    "other": "Other",
}
INPUT_ITEMS = ("input", "cache_read", "cache_write")


def cost_lines(call: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns one line per item of the cost; tokens and price are None where they are unknown."""
    cached, written = call["tokens_cache_read"] or 0, call["tokens_cache_write"] or 0
    tokens_in = call["tokens_in"]
    tokens = {
        "input": None if tokens_in is None else tokens_in - cached - written,
        "cache_read": cached or None,
        "cache_write": written or None,
        "output": call["tokens_out"],
    }
    lines = []
    for name, usd in (call["cost_parts"] or {}).items():
        n, cost = tokens.get(name), Decimal(usd)
        per_million = cost / n * 1_000_000 if n else None
        title = COST_TITLES.get(name, name)
        lines.append({"title": title, "tokens": n, "usd": cost, "per_million": per_million})
    return lines


def input_usd(call: dict[str, Any]) -> Decimal | None:
    """Returns the cost of the request without its response."""
    parts = call["cost_parts"] or {}
    known = [Decimal(parts[name]) for name in INPUT_ITEMS if name in parts]
    return sum(known, Decimal(0)) if known else None


def tokens_per_second(call: dict[str, Any]) -> str | None:
    rate = call["tokens_per_second"]
    return None if rate is None else f"{rate:,.0f}"


def curl_command(request: HttpRequest, record: Record, limit: int) -> str | None:
    """Returns a shell command that repeats the request, with `$API_KEY` in place of the key.

    None: the body is longer than `limit` bytes, is not ASCII, or is not stored in full.
    """
    body = records.rebuild_request(record)
    if body is None or len(body) > limit or not body.isascii():
        return None
    url = proxy_url(request) + (record.row["heads"]["target"] or "")
    header = "x-api-key: $API_KEY"
    if record.row["provider"] != "anthropic":
        header = "authorization: Bearer $API_KEY"
    lines = [f"curl {shlex.quote(url)}", f'-H "{header}"', '-H "content-type: application/json"']
    return " \\\n  ".join([*lines, f"--data-raw {shlex.quote(body.decode())}"])
