"""What the call page says beside the texts: cost by part, speed, tools, the request for a shell."""

from __future__ import annotations

import shlex
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from capture.wire.json.lenient import load
from reports.queries import records
from reports.queries.records import Record

COST_LINES = {
    "input": "Input",
    "cache_read": "Cached input",
    "cache_write": "Written to the cache",
    "output": "Output",
    "other": "Other",
}
INPUT = ("input", "cache_read", "cache_write")


def cost_lines(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Rate times tokens, as far as both are known."""
    cached, written = told["tokens_cache_read"] or 0, told["tokens_cache_write"] or 0
    came = told["tokens_in"]
    tokens = {
        "input": None if came is None else came - cached - written,
        "cache_read": cached or None,
        "cache_write": written or None,
        "output": told["tokens_out"],
    }
    lines = []
    for name, usd in (told["cost_parts"] or {}).items():
        n, cost = tokens.get(name), Decimal(usd)
        rate = cost / n * 1_000_000 if n else None
        title = COST_LINES.get(name, name)
        lines.append({"title": title, "tokens": n, "usd": cost, "per_million": rate})
    return lines


def usd_in(told: dict[str, Any]) -> Decimal | None:
    """What the request cost, without its answer."""
    parts = told["cost_parts"] or {}
    known = [
        Decimal(parts[name]) for name in ("input", "cache_read", "cache_write") if name in parts
    ]
    return sum(known, Decimal(0)) if known else None


def tokens_per_second(told: dict[str, Any]) -> str | None:
    rate = told["tokens_per_second"]
    return None if rate is None else f"{rate:,.0f}"


def tools_offered(record: Record) -> list[str]:
    tools = record.tools
    value = load(tools.json)[0] if tools else None
    if isinstance(value, dict):
        value = value.get("tools", [value])
    return [name for tool in value or () for name in _tool_names(tool)]


def _tool_names(tool: Any) -> list[str]:
    if not isinstance(tool, dict):
        return []
    for key in ("functionDeclarations", "function_declarations"):
        if isinstance(tool.get(key), list):
            return [name for one in tool[key] for name in _tool_names(one)]
    for key in ("function", "toolSpec"):
        if isinstance(tool.get(key), dict):
            return _tool_names(tool[key])
    return [str(tool.get("name") or tool.get("type") or "?")]


def curl(request: HttpRequest, record: Record, limit: int) -> str | None:
    """The same request from a shell, without the key. None: its body is too long or not kept."""
    body = records.request_bytes(record)
    if body is None or len(body) > limit or not body.isascii():
        return None
    url = request.build_absolute_uri("/").rstrip("/") + (record.row["heads"]["target"] or "")
    name = "x-api-key: $API_KEY"
    if record.row["provider"] != "anthropic":
        name = "authorization: Bearer $API_KEY"
    lines = [f"curl {shlex.quote(url)}", f'-H "{name}"', '-H "content-type: application/json"']
    return " \\\n  ".join([*lines, f"--data-raw {shlex.quote(body.decode())}"])
