"""Token counts of each provider, in one meaning. A number that is not there stays None."""

from __future__ import annotations

from capture.wire.jsontext import clean_json
from capture.wire.types import JSON, Usage
from capture.wire.values import count, fields


def openai(raw: JSON) -> Usage | None:
    """Of chat completions and of Responses, and of those who copied them.

    Their prompt tokens include cached ones, their completion tokens reasoning.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    prompt = fields(raw.get("prompt_tokens_details") or raw.get("input_tokens_details"))
    completion = fields(raw.get("completion_tokens_details") or raw.get("output_tokens_details"))
    usage = Usage(
        tokens_in=_first(raw, "prompt_tokens", "input_tokens"),
        tokens_out=_first(raw, "completion_tokens", "output_tokens"),
        tokens_cache_read=count(prompt.get("cached_tokens")),
        tokens_cache_write=count(prompt.get("cache_write_tokens")),
        tokens_reasoning=count(completion.get("reasoning_tokens")),
        raw=clean_json(raw),
    )
    if usage.tokens_cache_read is None:  # DeepSeek, Moonshot, LiteLLM
        usage.tokens_cache_read = _first(
            raw, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"
        )
    if usage.tokens_cache_write is None:  # LiteLLM
        usage.tokens_cache_write = count(raw.get("cache_creation_input_tokens"))
    # xAI's completion tokens leave reasoning out, which shows in the total.
    if usage.tokens_in is not None and usage.tokens_out is not None and usage.tokens_reasoning:
        with_reasoning = usage.tokens_out + usage.tokens_reasoning
        if count(raw.get("total_tokens")) == usage.tokens_in + with_reasoning:
            usage.tokens_out = with_reasoning
    return usage


def anthropic(raw: JSON) -> Usage | None:
    """`input_tokens` leave out what was read from the cache and written to it."""
    if not isinstance(raw, dict) or not raw:
        return None
    fresh = count(raw.get("input_tokens"))
    read = count(raw.get("cache_read_input_tokens"))
    written = count(raw.get("cache_creation_input_tokens"))
    return Usage(
        tokens_in=None if fresh is None else fresh + (read or 0) + (written or 0),
        tokens_out=count(raw.get("output_tokens")),
        tokens_cache_read=read,
        tokens_cache_write=written,
        tokens_reasoning=count(fields(raw.get("output_tokens_details")).get("thinking_tokens")),
        raw=clean_json(raw),
    )


def _first(raw: dict[str, JSON], *names: str) -> int | None:
    return next((n for name in names if (n := count(raw.get(name))) is not None), None)
