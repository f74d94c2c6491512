"""Token counts of each provider, in one meaning. A number that is not there stays None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from decimal import Decimal

from capture.wire.json.fields import count, fields, number, objects, text
from capture.wire.json.lenient import clean_json
from capture.wire.types import JSON, Billed, Usage

_COUNTS = [field.name for field in dataclass_fields(Usage) if field.name.startswith("tokens_")]

_MOST_USD = 1_000_000
"""Beyond it, what is called a cost is none, or not in dollars."""

# https://docs.x.ai: xAI counts what a call costs in these.
_TICKS_PER_USD = 10**10


def openai(raw: JSON) -> Usage | None:
    """Of chat completions and of Responses, and of those who copied them.

    Their prompt tokens include cached ones, their completion tokens reasoning.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    # In the singular: audio.
    prompt = _details(raw, "prompt_tokens", "input_tokens", "input_token")
    completion = _details(raw, "completion_tokens", "output_tokens", "output_token")
    usage = Usage(
        tokens_in=_first(raw, "prompt_tokens", "input_tokens"),
        tokens_out=_first(raw, "completion_tokens", "output_tokens"),
        tokens_cache_read=count(prompt.get("cached_tokens")),
        tokens_cache_write=count(prompt.get("cache_write_tokens")),
        tokens_reasoning=count(completion.get("reasoning_tokens")),
        tokens_audio_in=count(prompt.get("audio_tokens")),
        tokens_audio_out=count(completion.get("audio_tokens")),
        tokens_image_in=count(prompt.get("image_tokens")),
        tokens_image_out=count(completion.get("image_tokens")),
        reported_cost_usd=_reported_cost(raw),
        raw=clean_json(raw),
    )
    if usage.tokens_cache_read is None:  # DeepSeek, Moonshot, LiteLLM
        usage.tokens_cache_read = _first(
            raw, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"
        )
    if usage.tokens_cache_write is None:
        # By how long they are kept, none of which is an hour.
        times = fields(prompt.get("cache_write_tokens_details"))
        usage.tokens_cache_write = _sum(times, "ttl_30m_tokens", "ttl_12h_tokens")
    if usage.tokens_cache_write is None:  # LiteLLM
        usage.tokens_cache_write = count(raw.get("cache_creation_input_tokens"))
    # xAI's completion tokens leave reasoning out, which shows in the total.
    if usage.tokens_in is not None and usage.tokens_out is not None and usage.tokens_reasoning:
        with_reasoning = usage.tokens_out + usage.tokens_reasoning
        if count(raw.get("total_tokens")) == usage.tokens_in + with_reasoning:
            usage.tokens_out = with_reasoning
    _add_cached(usage, fields(prompt.get("cached_tokens_details")))  # Realtime
    # Mistral; transcriptions that are billed by their length.
    seconds = raw.get("seconds") if raw.get("type") == "duration" else None
    _add_unit(usage, "audio_seconds", seconds or raw.get("prompt_audio_seconds"))
    return usage


def responses(response: dict[str, JSON]) -> Usage | None:
    """Of a response, with what its tools are billed apart from the model.

    The tokens of images that a tool made are another model's, so they are no part of `tokens_in`
    and `tokens_out` but the units `image_gen_tokens_in` and `image_gen_tokens_out`, and are billed
    apart.
    """
    usage = openai(response.get("usage"))
    tools = fields(response.get("tool_usage"))
    images = fields(tools.get("image_gen"))
    billed = Usage()
    _add_unit(billed, "web_searches", fields(tools.get("web_search")).get("num_requests"))
    _add_unit(billed, "image_gen_tokens_in", images.get("input_tokens"))
    _add_unit(billed, "image_gen_tokens_out", images.get("output_tokens"))
    if not billed.units:
        return usage
    usage = usage or Usage()
    usage.units.update(billed.units)
    if "image_gen_tokens_in" in billed.units or "image_gen_tokens_out" in billed.units:
        own = replace(usage, raw={})
        usage.billed = [Billed(None, own), Billed(_painter(response), _painted(images))]
    usage.raw = {**usage.raw, "tool_usage": clean_json(tools)}
    return usage


# Of an answer that does not name the model that painted: no model's, so it has no price.
_UNNAMED_PAINTER = "(the image generation tool's model)"


def _painter(response: dict[str, JSON]) -> str:
    tools = [t for t in objects(response.get("tools")) if t.get("type") == "image_generation"]
    names = {text(tool.get("model")) for tool in tools}
    return (names.pop() if len(names) == 1 else None) or _UNNAMED_PAINTER


def _painted(images: dict[str, JSON]) -> Usage:
    found = openai(images) or Usage()
    found.tokens_cache_read = count(images.get("cached_tokens"))
    cached = fields(images.get("cached_tokens_details"))
    _add_cached(found, {"image_tokens": cached.get("cached_image_tokens")})
    if found.tokens_image_out is None:
        found.tokens_image_out = found.tokens_out
    found.raw = {}
    return found


def llama_cpp(timings: JSON) -> Usage | None:
    """Of llama.cpp's server, which tells them where it tells no usage. `prompt_n` leaves out what
    it had in its cache: https://github.com/ggml-org/llama.cpp/tree/master/tools/server"""
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


def images(response: dict[str, JSON]) -> Usage | None:
    """Of an answer of the images API, or of the event that ends an image.

    `svg_usage` counts the model that wrote an SVG, apart from the one that painted; where both
    are there, the sum hides that they have different prices. `raw` keeps both. Images without
    any usage (DALL·E) are counted.
    """
    painted = openai(response.get("usage"))
    if painted is not None and painted.tokens_image_out is None:
        # Older models have no details of what they put out: it is the image.
        painted.tokens_image_out = painted.tokens_out
    written = openai(response.get("svg_usage"))
    if written is not None:
        written.tokens_reasoning = count(written.raw.get("reasoning_tokens"))
        written.raw = {"svg_usage": written.raw}
    found = added([usage for usage in (painted, written) if usage is not None])
    made = objects(response.get("data"))
    if made and (found is None or found.tokens_in is found.tokens_out is None):
        found = found or Usage(raw={"images": len(made)})
        found.units["images"] = len(made)
    return found


def added(usages: list[Usage]) -> Usage | None:
    """Of several models or images: each count the sum of those that are known."""
    if len(usages) < 2:
        return usages[0] if usages else None
    total = Usage(raw={key: value for usage in usages for key, value in usage.raw.items()})
    for name in _COUNTS:
        known = [n for usage in usages if (n := getattr(usage, name)) is not None]
        setattr(total, name, count(sum(known)) if known else None)
    for usage in usages:
        for unit, n in usage.units.items():
            total.units[unit] = total.units.get(unit, 0) + n
    costs = [usage.reported_cost_usd for usage in usages if usage.reported_cost_usd is not None]
    total.reported_cost_usd = sum(costs, Decimal(0)) if costs else None
    return total


# Sampling that the totals leave out: a compaction's, as the SDK says; an advisor's, as
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool says.
_BESIDE_THE_TOTALS = ("compaction", "advisor_message")


def anthropic(raw: JSON) -> Usage | None:
    """`input_tokens` leave out what was read from the cache and written to it.

    The tokens of `iterations` that are not in the totals are added. An advisor's, or a fallback's,
    may be another model's: each is billed at its own model's price.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    usage = _of_anthropic(raw)
    usage.tokens_reasoning = count(fields(raw.get("output_tokens_details")).get("thinking_tokens"))
    iterations = objects(raw.get("iterations"))
    within = [i for i in iterations if i.get("type") not in _BESIDE_THE_TOTALS]
    beside = [i for i in iterations if i.get("type") in _BESIDE_THE_TOTALS]
    totals = usage
    usage = added([totals, *map(_of_anthropic, beside)]) or usage
    searches = fields(raw.get("server_tool_use")).get("web_search_requests")
    _add_unit(usage, "web_searches", searches)
    if any(iteration.get("model") for iteration in iterations):
        rest = _less(totals, [_of_anthropic(iteration) for iteration in within])
        rest.units = dict(usage.units)
        usage.billed = [Billed(text(i.get("model")), _of_anthropic(i)) for i in iterations]
        usage.billed.append(Billed(None, rest))
    usage.reported_cost_usd = _reported_cost(raw)  # OpenRouter's Messages
    usage.raw = clean_json(raw)
    return usage


def _of_anthropic(raw: dict[str, JSON]) -> Usage:
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


def _less(usage: Usage, others: list[Usage]) -> Usage:
    """What of its counts the others do not have."""
    rest = Usage(tokens_in=0, tokens_out=0)
    for name in _COUNTS:
        total = getattr(usage, name)
        known = sum(getattr(other, name) or 0 for other in others)
        if total is not None and name != "tokens_reasoning":
            setattr(rest, name, max(total - known, 0))
    return rest


def counted(response: dict[str, JSON]) -> Usage | None:
    """Of the endpoints that only count: `{"input_tokens": 14}`."""
    tokens_in = count(response.get("input_tokens"))
    if tokens_in is None:
        return None
    return Usage(tokens_in=tokens_in, raw={"input_tokens": tokens_in})


def cohere(raw: JSON) -> Usage | None:
    """`tokens` are all that the model read and wrote; `billed_units` leave out Cohere's own, and
    decide the cost: https://docs.cohere.com/docs/how-does-cohere-pricing-work"""
    if not isinstance(raw, dict) or not raw:
        return None
    tokens, billed = fields(raw.get("tokens")), fields(raw.get("billed_units"))
    tokens_in, tokens_out = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    billed_in, billed_out = count(billed.get("input_tokens")), count(billed.get("output_tokens"))
    usage = Usage(
        tokens_in=billed_in if tokens_in is None else tokens_in,
        tokens_out=billed_out if tokens_out is None else tokens_out,
        tokens_cache_read=count(raw.get("cached_tokens")),
        raw=clean_json(raw),
    )
    if billed_in is not None and (billed_in, billed_out) != (usage.tokens_in, usage.tokens_out):
        usage.billed = [Billed(None, Usage(tokens_in=billed_in, tokens_out=billed_out))]
    return usage


def bedrock(raw: JSON) -> Usage | None:
    """Of Converse (`inputTokens`) and of the metrics of a stream of invoke (`inputTokenCount`).

    Both leave out what was read from the cache and written to it.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    fresh = _first(raw, "inputTokens", "inputTokenCount")
    read = _first(raw, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _first(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    for_an_hour = [
        count(detail.get("inputTokens")) or 0
        for detail in objects(raw.get("cacheDetails"))
        if detail.get("ttl") == "1h"
    ]
    return Usage(
        tokens_in=None if fresh is None else fresh + (read or 0) + (written or 0),
        tokens_out=_first(raw, "outputTokens", "outputTokenCount"),
        tokens_cache_read=read,
        tokens_cache_write=written,
        tokens_cache_write_1h=sum(for_an_hour) if for_an_hour else None,
        raw=clean_json(raw),
    )


_BEDROCK_HEADERS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}


def in_headers(headers: Mapping[str, str]) -> Usage | None:
    """Of the headers of an answer: Bedrock's to an invoke, where the model's own body may have no
    usage."""
    counts = {
        name: int(value)
        for header, name in _BEDROCK_HEADERS.items()
        if re.fullmatch("[0-9]{1,15}", value := headers.get(header, ""))
    }
    return bedrock(counts)


def llama(response: dict[str, JSON]) -> Usage | None:
    names = ("prompt_token_count", "generation_token_count")
    raw = {name: response[name] for name in names if name in response}
    tokens_in, tokens_out = (count(raw.get(name)) for name in names)
    if tokens_in is None and tokens_out is None:
        return None
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out, raw=clean_json(raw))


def titan(response: dict[str, JSON]) -> Usage | None:
    """Of Amazon's Titan, texts and embeddings: these bring no results."""
    tokens_in = count(response.get("inputTextTokenCount"))
    if tokens_in is None:
        return None
    raw: dict[str, JSON] = {"inputTextTokenCount": tokens_in}
    results = [result.get("tokenCount") for result in objects(response.get("results"))]
    if results:
        raw["results"] = [{"tokenCount": n} for n in results]
    counts = [n for n in map(count, results) if n is not None]
    return Usage(
        tokens_in=tokens_in,
        tokens_out=sum(counts) if results and len(counts) == len(results) else None,
        raw=clean_json(raw),
    )


def gemini(raw: JSON) -> Usage | None:
    """Of generateContent and embedContent. What is 0, Google leaves out.

    The candidates' tokens leave thoughts out, the prompt's what the tools' results brought in.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    prompts = objects(raw.get("promptTokensDetails"))
    prompts += objects(raw.get("toolUsePromptTokensDetails"))
    # The Live API has another name for the candidates.
    responses = objects(raw.get("candidatesTokensDetails") or raw.get("responseTokensDetails"))
    response = "responseTokenCount" if "responseTokenCount" in raw else "candidatesTokenCount"
    usage = Usage(
        tokens_in=_sum(raw, "promptTokenCount", "toolUsePromptTokenCount"),
        tokens_out=_sum(raw, response, "thoughtsTokenCount"),
        tokens_cache_read=count(raw.get("cachedContentTokenCount")),
        tokens_reasoning=count(raw.get("thoughtsTokenCount")),
        tokens_audio_in=_of_modality("audio", prompts, "tokenCount"),
        tokens_audio_out=_of_modality("audio", responses, "tokenCount"),
        tokens_image_in=_of_modality("image", prompts, "tokenCount"),
        tokens_image_out=_of_modality("image", responses, "tokenCount"),
        raw=clean_json(raw),
    )
    _add_cached_modalities(usage, objects(raw.get("cacheTokensDetails")), "tokenCount")
    return usage


def gemini_interaction(raw: JSON) -> Usage | None:
    if not isinstance(raw, dict) or not raw:
        return None
    prompts = objects(raw.get("input_tokens_by_modality"))
    prompts += objects(raw.get("tool_use_tokens_by_modality"))
    responses = objects(raw.get("output_tokens_by_modality"))
    usage = Usage(
        tokens_in=_sum(raw, "total_input_tokens", "total_tool_use_tokens"),
        tokens_out=_sum(raw, "total_output_tokens", "total_thought_tokens"),
        tokens_cache_read=count(raw.get("total_cached_tokens")),
        tokens_reasoning=count(raw.get("total_thought_tokens")),
        tokens_audio_in=_of_modality("audio", prompts, "tokens"),
        tokens_audio_out=_of_modality("audio", responses, "tokens"),
        tokens_image_in=_of_modality("image", prompts, "tokens"),
        tokens_image_out=_of_modality("image", responses, "tokens"),
        raw=clean_json(raw),
    )
    _add_cached_modalities(usage, objects(raw.get("cached_tokens_by_modality")), "tokens")
    for tool in objects(raw.get("grounding_tool_count")):
        if tool.get("type") == "google_search":
            _add_unit(usage, "web_searches", tool.get("count"))
    return usage


def gemini_counted(response: dict[str, JSON]) -> Usage | None:
    """Of countTokens, like `counted`."""
    names = ("totalTokens", "totalBillableCharacters", "cachedContentTokenCount")
    raw: dict[str, JSON] = {
        name: n for name in names if (n := count(response.get(name))) is not None
    }
    if not raw:
        return None
    return Usage(
        tokens_in=raw.get("totalTokens"),
        tokens_cache_read=raw.get("cachedContentTokenCount"),
        raw=raw,
    )


_OLLAMA = ("prompt_eval_count", "eval_count")
_OLLAMA_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def ollama(response: dict[str, JSON]) -> Usage | None:
    """None for a model that was only loaded. A prompt out of the cache may have no number."""
    tokens_in, tokens_out = (count(response.get(name)) for name in _OLLAMA)
    if tokens_in is None and tokens_out is None:
        return None
    raw = {name: response[name] for name in (*_OLLAMA, *_OLLAMA_TIMES) if name in response}
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out, raw=clean_json(raw))


def _sum(raw: dict[str, JSON], *names: str) -> int | None:
    """Of the numbers that are there."""
    found = [n for name in names if (n := count(raw.get(name))) is not None]
    return count(sum(found)) if found else None


def _of_modality(modality: str, details: list[dict[str, JSON]], name: str) -> int | None:
    found = [
        n
        for detail in details
        if str(detail.get("modality")).lower() == modality
        and (n := count(detail.get(name))) is not None
    ]
    return count(sum(found)) if found else None


def _first(raw: dict[str, JSON], *names: str) -> int | None:
    return next((n for name in names if (n := count(raw.get(name))) is not None), None)


def _details(raw: dict[str, JSON], *names: str) -> dict[str, JSON]:
    return next((found for name in names if (found := fields(raw.get(f"{name}_details")))), {})


def _add_unit(usage: Usage, unit: str, value: JSON) -> None:
    """What is billed by it; nothing is, where there was none."""
    n = number(value)
    if n is not None and n > 0:
        usage.units[unit] = int(n) if n.is_integer() else n


def _add_cached(usage: Usage, cached: dict[str, JSON]) -> None:
    """How many of the cached tokens are audio or images, none included: they may have a price
    together."""
    for kind in ("audio", "image"):
        n = count(cached.get(f"{kind}_tokens"))
        if n is not None:
            usage.units[f"cache_{kind}_read_tokens"] = n


def _add_cached_modalities(usage: Usage, details: list[dict[str, JSON]], name: str) -> None:
    """The same of a list of modalities, from which Google leaves out those that have none."""
    if details:
        kinds = ("audio", "image")
        found = {f"{kind}_tokens": _of_modality(kind, details, name) or 0 for kind in kinds}
        _add_cached(usage, {**found})


def _reported_cost(raw: dict[str, JSON]) -> Decimal | None:
    """OpenRouter's `cost` in USD, what the agent's own key paid upstream included; xAI's ticks.

    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    cost = _usd(raw.get("cost"))
    if cost is None:
        ticks = count(raw.get("cost_in_usd_ticks"))
        return None if ticks is None else _usd(ticks, _TICKS_PER_USD)
    if raw.get("is_byok") is True:
        upstream = _usd(fields(raw.get("cost_details")).get("upstream_inference_cost"))
        cost += upstream or 0
    return cost


def _usd(value: JSON, per_usd: int = 1) -> Decimal | None:
    n = number(value)
    if n is None or not 0 <= n <= _MOST_USD * per_usd:
        return None
    # The shortest text that means this float is the one that came.
    return Decimal(repr(value)) / per_usd
