"""The token counts of Bedrock, and of the models whose bodies it passes on."""

from __future__ import annotations

import re
from collections.abc import Mapping

from capture.wire.json.fields import count, objects
from capture.wire.json.lenient import clean_json
from capture.wire.shared.reported_cost import reported_cost
from capture.wire.shared.usage import first_count
from capture.wire.types import JSON, Usage


def read_usage(raw: JSON) -> Usage | None:
    """Reads Converse's usage (`inputTokens`) and the metrics of a streamed invoke
    (`inputTokenCount`).

    Both leave out what was read from the cache and written to it.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    fresh = first_count(raw, "inputTokens", "inputTokenCount")
    read = first_count(raw, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = first_count(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    for_an_hour = [
        count(detail.get("inputTokens")) or 0
        for detail in objects(raw.get("cacheDetails"))
        if detail.get("ttl") == "1h"
    ]
    return Usage(
        tokens_in=None if fresh is None else fresh + (read or 0) + (written or 0),
        tokens_out=first_count(raw, "outputTokens", "outputTokenCount"),
        tokens_cache_read=read,
        tokens_cache_write=written,
        tokens_cache_write_1h=sum(for_an_hour) if for_an_hour else None,
        reported_cost_usd=reported_cost(raw),
        raw=clean_json(raw),
    )


_HEADERS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}


def usage_from_headers(headers: Mapping[str, str | None]) -> Usage | None:
    """Reads the headers by which Bedrock counts an invoke, where the model's own body may have no
    usage. `headers` are by their names in lower case."""
    counts = {
        name: int(value)
        for header, name in _HEADERS.items()
        if re.fullmatch("[0-9]{1,15}", value := headers.get(header) or "")
    }
    return read_usage(counts)


def read_llama_usage(response: dict[str, JSON]) -> Usage | None:
    names = ("prompt_token_count", "generation_token_count")
    raw = {name: response[name] for name in names if name in response}
    tokens_in, tokens_out = (count(raw.get(name)) for name in names)
    if tokens_in is None and tokens_out is None:
        return None
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out, raw=clean_json(raw))


def read_titan_usage(response: dict[str, JSON]) -> Usage | None:
    """Reads the counts of Amazon's Titan: texts, and embeddings, which bring no results."""
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
