"""Cohere's token counts."""

from __future__ import annotations

from capture.wire.json.fields import count, fields
from capture.wire.json.lenient import clean_json
from capture.wire.shared.reported_cost import reported_cost
from capture.wire.types import JSON, BilledUsage, Usage


def read_usage(raw: JSON) -> Usage | None:
    """Reads a usage: `tokens` are all that the model read and wrote; `billed_units` leave out
    Cohere's own, and decide the cost:
    https://docs.cohere.com/docs/how-does-cohere-pricing-work"""
    if not isinstance(raw, dict) or not raw:
        return None
    tokens, billed = fields(raw.get("tokens")), fields(raw.get("billed_units"))
    tokens_in, tokens_out = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    billed_in, billed_out = count(billed.get("input_tokens")), count(billed.get("output_tokens"))
    usage = Usage(
        tokens_in=billed_in if tokens_in is None else tokens_in,
        tokens_out=billed_out if tokens_out is None else tokens_out,
        tokens_cache_read=count(raw.get("cached_tokens")),
        reported_cost_usd=reported_cost(raw),
        raw=clean_json(raw),
    )
    if billed_in is not None and (billed_in, billed_out) != (usage.tokens_in, usage.tokens_out):
        usage.billed = [BilledUsage(None, Usage(tokens_in=billed_in, tokens_out=billed_out))]
    return usage
