"""OpenAI's token counts, and those of the APIs that copied it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from capture.wire.formats.openai import fees
from capture.wire.json.fields import count, fields, objects, text
from capture.wire.json.lenient import clean_json
from capture.wire.shared.reported_cost import reported_cost
from capture.wire.shared.usage import (
    add_cached_units,
    add_unit,
    add_up,
    first_count,
    sum_counts,
)
from capture.wire.types import JSON, BilledUsage, Usage

_upper = re.compile(r"(?<=[a-z0-9])[A-Z]")
_LONGEST_NAME = 64

# In the singular: audio.
_PROMPT = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_COMPLETION = ("completion_tokens_details", "output_tokens_details", "output_token_details")
# What the copies of the API call a count, in their details or beside them.
_CACHE_READ = (
    *("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cache_read_tokens"),
    *("num_cached_tokens", "cached_input_tokens", "prompt_tokens_cached", "cache_hit_tokens"),
)
_CACHE_WRITE = (
    *("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens"),
    *("cached_creation_tokens", "created_cache_tokens", "cache_write_input_tokens"),
    "prompt_cache_write_tokens",
)
_REASONING = ("reasoning_tokens", "thinking_tokens", "thoughts_tokens")
# Tokens written to a cache by how long they are kept: OpenAI, then Anthropic's models at LiteLLM,
# DashScope and new-api.
_WRITE_TIMES = ("cache_write_tokens_details", "cache_creation", "cache_creation_token_details")
_SHORT_WRITES = ("ttl_30m_tokens", "ttl_12h_tokens", "ephemeral_5m_input_tokens")
_HOUR_WRITES = ("ephemeral_1h_input_tokens", "claude_cache_creation_1_h_tokens")


def read_usage(raw: JSON) -> Usage | None:
    """Reads the usage of chat completions and Responses, and of the APIs that copied them.

    Their prompt tokens include cached ones, their completion tokens reasoning.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    named = raw if "prompt_tokens" in raw or "input_tokens" in raw else _in_snake_case(raw)
    prompt, completion = _details(named, _PROMPT), _details(named, _COMPLETION)
    usage = Usage(
        tokens_in=first_count(named, "prompt_tokens", "input_tokens", "prompt_eval_count"),
        tokens_out=first_count(named, "completion_tokens", "output_tokens", "eval_count"),
        tokens_cache_read=_best_count(prompt, named, _CACHE_READ),
        tokens_cache_write=_best_count(prompt, named, _CACHE_WRITE),
        tokens_reasoning=first_count(completion, *_REASONING),
        tokens_audio_in=count(prompt.get("audio_tokens")),
        tokens_audio_out=count(completion.get("audio_tokens")),
        tokens_image_in=count(prompt.get("image_tokens")),
        tokens_image_out=count(completion.get("image_tokens")),
        reported_cost_usd=reported_cost(raw),
        raw=clean_json(raw),
    )
    _read_write_times(usage, prompt, named)
    _settle_by_total(usage, named)
    add_cached_units(usage, fields(prompt.get("cached_tokens_details")))  # Realtime
    # Mistral; transcriptions that are billed by their length.
    seconds = raw.get("seconds") if raw.get("type") == "duration" else None
    add_unit(usage, "audio_seconds", seconds or raw.get("prompt_audio_seconds"))
    usage.units.update(fees.of_usage(named))
    return usage


def _in_snake_case(raw: dict[str, JSON]) -> dict[str, JSON]:
    """Returns a usage of the Vercel AI SDK's and other's names, `inputTokens`, in OpenAI's
    spelling."""
    return {
        _snake(name): {_snake(key): n for key, n in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in raw.items()
    }


def _snake(name: str) -> str:
    return _upper.sub(r"_\g<0>", name[:_LONGEST_NAME]).lower()


def _best_count(
    prompt: dict[str, JSON], usage: dict[str, JSON], names: tuple[str, ...]
) -> int | None:
    """Returns a count of the details, or the one beside them if there is none but 0."""
    found = first_count(prompt, *names) if prompt else None
    if found:
        return found
    beside = first_count(usage, *names)
    return found if beside is None else beside


def _read_write_times(usage: Usage, prompt: dict[str, JSON], named: dict[str, JSON]) -> None:
    for place in (prompt, named):
        for name in _WRITE_TIMES:
            if name in place and (times := fields(place[name])):
                if usage.tokens_cache_write is None:
                    usage.tokens_cache_write = sum_counts(times, *_SHORT_WRITES, *_HOUR_WRITES)
                usage.tokens_cache_write_1h = sum_counts(times, *_HOUR_WRITES)
                return
    usage.tokens_cache_write_1h = first_count(named, *_HOUR_WRITES)


def _settle_by_total(usage: Usage, named: dict[str, JSON]) -> None:
    """Adds what only the total includes: reasoning (xAI), or what was read from a cache and written
    to one (Anthropic's counts under OpenAI's names)."""
    beside = first_count(named, *_REASONING) if usage.tokens_reasoning is None else None
    if usage.tokens_in is None or usage.tokens_out is None:
        return
    if beside is not None and "citation_tokens" in named:
        # Perplexity's research, whose total leaves it out too.
        usage.tokens_reasoning = beside
        usage.tokens_out += beside
        return
    rest = (count(named.get("total_tokens")) or 0) - usage.tokens_in - usage.tokens_out
    reasoning = usage.tokens_reasoning or beside
    if rest > 0 and rest == reasoning:
        usage.tokens_out += rest
    elif rest > 0 and rest == (usage.tokens_cache_read or 0) + (usage.tokens_cache_write or 0):
        usage.tokens_in += rest
    if beside is not None and beside <= usage.tokens_out:
        usage.tokens_reasoning = beside


def add_thoughts_of_total(usage: Usage | None) -> None:
    """Adds the thoughts that Gemini's OpenAI-compatible API counts in its total alone:
    https://github.com/mozilla-ai/any-llm/issues/1290"""
    if usage is None or usage.tokens_in is None or usage.tokens_out is None:
        return
    rest = (count(usage.raw.get("total_tokens")) or 0) - usage.tokens_in - usage.tokens_out
    if rest > 0 and not usage.tokens_reasoning:
        usage.tokens_reasoning = rest
        usage.tokens_out += rest


def read_response_usage(
    response: dict[str, JSON], streamed: Iterable[dict[str, JSON]] = ()
) -> Usage | None:
    """Reads the usage of a response, with what its tools are billed apart from the model.
    `streamed` are the items of its output as far as they came in a stream.

    The tokens of images that a tool made are another model's, so they are no part of `tokens_in`
    and `tokens_out` but the units `image_gen_tokens_in` and `image_gen_tokens_out`, and are billed
    apart.
    """
    usage = read_usage(response.get("usage"))
    tools = fields(response.get("tool_usage"))
    images = fields(tools.get("image_gen"))
    billed = Usage(units=_tool_fees(response, streamed))
    add_unit(billed, "web_searches", fields(tools.get("web_search")).get("num_requests"))
    add_unit(billed, "image_gen_tokens_in", images.get("input_tokens"))
    add_unit(billed, "image_gen_tokens_out", images.get("output_tokens"))
    if not billed.units:
        return usage
    usage = usage or Usage()
    usage.units.update(billed.units)
    if "preview_web_searches" in billed.units:
        usage.units["preview_web_searches"] = usage.units["web_searches"]
    if "image_gen_tokens_in" in billed.units or "image_gen_tokens_out" in billed.units:
        usage.units.pop("generated_images", None)
        own = replace(usage, raw={})
        usage.billed = [
            BilledUsage(None, own),
            BilledUsage(_image_model(response), _image_tool_usage(images)),
        ]
    if tools:
        usage.raw = {**usage.raw, "tool_usage": clean_json(tools)}
    return usage


def _tool_fees(response: dict[str, JSON], streamed: Iterable[dict[str, JSON]]) -> dict[str, float]:
    """Counts the items of the output that are billed, unless the usage has counted them."""
    if fees.counts_tools(fields(response.get("usage"))):
        return {}
    tools = response.get("tools")
    # Some copies of the API leave the last event's output empty, or tools' items out of it.
    whole = fees.of_items(objects(response.get("output")), tools)
    return fees.merged(whole, fees.of_items(streamed, tools)) if streamed else whole


# The model of images whose response does not name it. It is no model's name, so it has no price.
_UNNAMED_IMAGE_MODEL = "(the image generation tool's model)"


def _image_model(response: dict[str, JSON]) -> str:
    tools = [t for t in objects(response.get("tools")) if t.get("type") == "image_generation"]
    names = {text(tool.get("model")) for tool in tools}
    return (names.pop() if len(names) == 1 else None) or _UNNAMED_IMAGE_MODEL


def _image_tool_usage(images: dict[str, JSON]) -> Usage:
    found = read_usage(images) or Usage()
    found.tokens_cache_read = count(images.get("cached_tokens"))
    cached = fields(images.get("cached_tokens_details"))
    add_cached_units(found, {"image_tokens": cached.get("cached_image_tokens")})
    if found.tokens_image_out is None:
        found.tokens_image_out = found.tokens_out
    found.raw = {}
    return found


def read_llama_cpp_timings(timings: JSON) -> Usage | None:
    """Reads the `timings` of llama.cpp's server, which it sends instead of a usage. `prompt_n`
    leaves out what the server had in its cache:
    https://github.com/ggml-org/llama.cpp/tree/master/tools/server"""
    timings = fields(timings)
    read, cached = count(timings.get("prompt_n")), count(timings.get("cache_n"))
    written = count(timings.get("predicted_n"))
    if read is None and written is None:
        return None
    return Usage(
        tokens_in=None if read is None else read + (cached or 0),
        tokens_out=written,
        tokens_cache_read=cached,
        raw={"timings": clean_json(timings)},
    )


def read_image_usage(response: dict[str, JSON]) -> Usage | None:
    """Reads the usage of a response of the images API, or of the event that ends an image.

    `svg_usage` counts the model that wrote an SVG, apart from the one that made the image; where
    both are there, the sum hides that they have different prices. `raw` keeps both. Images without
    any usage (DALL·E) are counted.
    """
    image = read_usage(response.get("usage"))
    if image is not None and image.tokens_image_out is None:
        # Older models have no details of what they put out: it is the image.
        image.tokens_image_out = image.tokens_out
    svg = read_usage(response.get("svg_usage"))
    if svg is not None:
        svg.tokens_reasoning = count(svg.raw.get("reasoning_tokens"))
        svg.raw = {"svg_usage": svg.raw}
    found = add_up([usage for usage in (image, svg) if usage is not None])
    made = objects(response.get("data"))
    if made and (found is None or found.tokens_in is found.tokens_out is None):
        found = found or Usage(raw={"images": len(made)})
        found.units["images"] = len(made)
    return found


def _details(raw: dict[str, JSON], names: tuple[str, ...]) -> dict[str, JSON]:
    for name in names:
        if name in raw and (found := fields(raw[name])):
            return found
    return {}
