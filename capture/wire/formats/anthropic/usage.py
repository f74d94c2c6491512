"""Anthropic's token counts."""

from __future__ import annotations

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
    searches = fields(raw.get("server_tool_use")).get("web_search_requests")
    add_unit(usage, "web_searches", searches)
    if any(iteration.get("model") for iteration in iterations):
        rest = _subtract(totals, [_read_counts(iteration) for iteration in within])
        rest.units = dict(usage.units)
        usage.billed = [BilledUsage(text(i.get("model")), _read_counts(i)) for i in iterations]
        usage.billed.append(BilledUsage(None, rest))
    usage.reported_cost_usd = reported_cost(raw)  # OpenRouter's Messages
    usage.raw = clean_json(raw)
    return usage


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
