"""Anthropic's token counts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from capture.wire.formats.openai import usage as openai_usage
from capture.wire.json.fields import count, fields, objects, text
from capture.wire.json.lenient import clean_json
from capture.wire.limits import MAX_ITERATIONS, check
from capture.wire.shared.reported_cost import reported_cost
from capture.wire.shared.usage import COUNTS, add_unit, add_up
from capture.wire.types import JSON, BilledUsage, Usage

# Sampling that the totals leave out: a compaction's, as the SDK says; an advisor's, as
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool says.
_BESIDE_THE_TOTALS = ("compaction", "advisor_message")


def read_usage(raw: JSON) -> Usage | None:
    """Reads a usage, whose `input_tokens` leave out what was read from the cache and written to it.

    The tokens of `iterations` that are not in the totals are added. An advisor's, or a fallback's,
    may be another model's: each is billed at its own model's price.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    if not raw.get("input_tokens") and raw.get("prompt_tokens"):
        return openai_usage.read_usage(raw)  # gateways that left OpenAI's names
    usage = _read_counts(raw)
    usage.tokens_reasoning = count(fields(raw.get("output_tokens_details")).get("thinking_tokens"))
    iterations = objects(raw.get("iterations"))
    check(len(iterations), MAX_ITERATIONS, "iterations in the usage")
    within = [i for i in iterations if i.get("type") not in _BESIDE_THE_TOTALS]
    beside = [i for i in iterations if i.get("type") in _BESIDE_THE_TOTALS]
    totals = usage
    usage = add_up([totals, *map(_read_counts, beside)]) or usage
    tools = fields(raw.get("server_tool_use"))
    add_unit(usage, "web_searches", tools.get("web_search_requests"))
    add_unit(usage, "code_executions", tools.get("code_execution_requests"))
    if any(iteration.get("model") for iteration in iterations):
        rest = _subtract(totals, [_read_counts(iteration) for iteration in within])
        rest.units = dict(usage.units)
        usage.billed = [BilledUsage(text(i.get("model")), _read_counts(i)) for i in iterations]
        usage.billed.append(BilledUsage(None, rest))
    usage.reported_cost_usd = reported_cost(raw)  # OpenRouter's Messages
    usage.raw = clean_json(raw)
    return usage


def add_tools(usage: Usage, blocks: Iterable[dict[str, JSON]], *, has_container: bool) -> None:
    """Counts the tools that Anthropic ran where the usage does not, as in a stream that was cut
    off. A search that failed is free; code runs in a container, which is billed by its hours."""
    searches = executions = 0
    for block in blocks:
        kind = block.get("type")
        if kind == "web_search_tool_result":
            searches += isinstance(block.get("content"), list)
        elif kind == "server_tool_use":
            executions += str(block.get("name")).endswith("code_execution")
    found = {"web_searches": searches, "code_executions": executions or int(has_container)}
    for unit, n in found.items():
        if n > usage.units.get(unit, 0):
            for units in _units_of(usage):
                units[unit] = n


# https://platform.claude.com/docs/en/about-claude/pricing (read 2026-12-01): with the tools of this
# date or later, code execution is free.
_FREE_SINCE = b"20260209"
_web_tool = re.compile(rb'"web_(?:search|fetch)_(20\d{6})"')


def drop_free_executions(usage: Usage, tools: bytes) -> None:
    """Drops the code executions of a request whose `tools` make them free."""
    if any(date >= _FREE_SINCE for date in _web_tool.findall(tools)):
        for units in _units_of(usage):
            units.pop("code_executions", None)


def _units_of(usage: Usage) -> list[dict[str, float]]:
    """Returns the units of the usage and of the share of it that is billed with them."""
    return [usage.units, *(share.usage.units for share in usage.billed[-1:])]


def _read_counts(raw: dict[str, JSON]) -> Usage:
    fresh = count(raw.get("input_tokens"))
    read = count(raw.get("cache_read_input_tokens"))
    written = count(raw.get("cache_creation_input_tokens"))
    for_an_hour = fields(raw.get("cache_creation")).get("ephemeral_1h_input_tokens")
    return Usage(
        tokens_in=None if fresh is None else fresh + (read or 0) + (written or 0),
        tokens_out=count(raw.get("output_tokens")),
        tokens_cache_read=read,
        tokens_cache_write=written,
        tokens_cache_write_1h=count(for_an_hour),
    )


def _subtract(usage: Usage, others: list[Usage]) -> Usage:
    """Returns the counts of `usage` less those of `others`, at least 0."""
    rest = Usage(tokens_in=0, tokens_out=0)
    for name in COUNTS:
        total = getattr(usage, name)
        known = sum(getattr(other, name) or 0 for other in others)
        if total is not None and name != "tokens_reasoning":
            setattr(rest, name, max(total - known, 0))
    return rest
