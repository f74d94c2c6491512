"""Google's token counts."""

from __future__ import annotations

from capture.wire.json.fields import count, fields, objects
from capture.wire.json.lenient import clean_json
from capture.wire.shared.reported_cost import reported_cost
from capture.wire.shared.usage import add_cached_units, add_unit, sum_counts
from capture.wire.types import JSON, Usage


def metadata_in(chunk: dict[str, JSON]) -> dict[str, JSON]:
    """Returns the usage of a response or a chunk; Google's SDKs and gateways spell it in two
    ways."""
    own = chunk.get("usageMetadata")
    if own and isinstance(own, dict):
        return own
    return {_camel(name): n for name, n in fields(chunk.get("usage_metadata")).items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_", _MOST_WORDS)
    return first + "".join(word.capitalize() for word in rest)


_MOST_WORDS = 8


def read_usage(raw: JSON) -> Usage | None:
    """Reads the usage of generateContent and embedContent. Google leaves out what is 0.

    The candidates' tokens leave thoughts out, the prompt's what the tools' results brought in.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    prompts = objects(raw.get("promptTokensDetails"))
    prompts += objects(raw.get("toolUsePromptTokensDetails"))
    # The Live API has another name for the candidates.
    responses = objects(raw.get("candidatesTokensDetails") or raw.get("responseTokensDetails"))
    response = "responseTokenCount" if "responseTokenCount" in raw else "candidatesTokenCount"
    thoughts = count(raw.get("thoughtsTokenCount"))
    if thoughts is None:
        thoughts = _thoughts_of_total(raw, response)
    written = count(raw.get(response))
    usage = Usage(
        tokens_in=sum_counts(raw, "promptTokenCount", "toolUsePromptTokenCount"),
        tokens_out=written if thoughts is None else (written or 0) + thoughts,
        tokens_cache_read=count(raw.get("cachedContentTokenCount")),
        tokens_reasoning=thoughts,
        reported_cost_usd=reported_cost(raw),
        raw=clean_json(raw),
    )
    cached = objects(raw.get("cacheTokensDetails"))
    _set_modalities(usage, prompts, responses, cached, "tokenCount")
    return usage


def _thoughts_of_total(raw: dict[str, JSON], response: str) -> int | None:
    """Returns what only the total includes beside the prompt, the tools' results and the
    response."""
    names = ("totalTokenCount", "promptTokenCount", response)
    total, prompt, written = (count(raw.get(name)) for name in names)
    if total is None or prompt is None or written is None:
        return None
    rest = total - prompt - written - (count(raw.get("toolUsePromptTokenCount")) or 0)
    return rest if rest > 0 else None


def read_interaction_usage(raw: JSON) -> Usage | None:
    if not isinstance(raw, dict) or not raw:
        return None
    prompts = objects(raw.get("input_tokens_by_modality"))
    prompts += objects(raw.get("tool_use_tokens_by_modality"))
    responses = objects(raw.get("output_tokens_by_modality"))
    usage = Usage(
        tokens_in=sum_counts(raw, "total_input_tokens", "total_tool_use_tokens"),
        tokens_out=sum_counts(raw, "total_output_tokens", "total_thought_tokens"),
        tokens_cache_read=count(raw.get("total_cached_tokens")),
        tokens_reasoning=count(raw.get("total_thought_tokens")),
        reported_cost_usd=reported_cost(raw),
        raw=clean_json(raw),
    )
    cached = objects(raw.get("cached_tokens_by_modality"))
    _set_modalities(usage, prompts, responses, cached, "tokens")
    return usage


def read_token_count(response: dict[str, JSON]) -> Usage | None:
    """Reads the response of countTokens."""
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


def _by_modality(details: list[dict[str, JSON]], name: str) -> dict[str, int]:
    """Returns the tokens of each modality, by its name in lower case."""
    found: dict[str, int] = {}
    for detail in details:
        if (n := count(detail.get(name))) is not None:
            modality = str(detail.get("modality")).lower()
            found[modality] = found.get(modality, 0) + n
    return found


def _set_modalities(
    usage: Usage,
    prompts: list[dict[str, JSON]],
    responses: list[dict[str, JSON]],
    cached: list[dict[str, JSON]],
    name: str,
) -> None:
    """Sets the tokens that are audio, images or video, whose prices are their own with some models.
    Of cached ones, Google leaves out the modalities without any."""
    brought, written = _by_modality(prompts, name), _by_modality(responses, name)
    usage.tokens_audio_in, usage.tokens_image_in = _audio_and_images(brought)
    usage.tokens_audio_out, usage.tokens_image_out = _audio_and_images(written)
    if cached:
        audio, images = _audio_and_images(_by_modality(cached, name))
        add_cached_units(usage, {"audio_tokens": audio or 0, "image_tokens": images or 0})
    add_unit(usage, "input_video_tokens", count(brought.get("video")))
    add_unit(usage, "output_video_tokens", count(written.get("video")))


def _audio_and_images(tokens: dict[str, int]) -> tuple[int | None, int | None]:
    return count(tokens.get("audio")), count(tokens.get("image"))
