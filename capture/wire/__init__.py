"""The wire formats, found by the path of a request or by name."""

from __future__ import annotations

from functools import lru_cache

from capture.wire import anthropic_messages, openai_chat, openai_responses, raw
from capture.wire.types import WireFormat

_FORMATS: dict[str, WireFormat] = {
    openai_chat.NAME: openai_chat,
    openai_responses.NAME: openai_responses,
    anthropic_messages.NAME: anthropic_messages,
    raw.NAME: raw,
}

# Behind any prefix: /openai/deployments/{name}, /api/v1, or none.
_SUFFIXES: tuple[tuple[str, WireFormat], ...] = (
    ("/chat/completions", openai_chat),
    ("/responses", openai_responses),
    ("/v1/messages", anthropic_messages),
)


@lru_cache(1024)
def for_path(path: str) -> WireFormat | None:
    """The format that a POST to `path` speaks: decoded, with or without its first slash, without
    its query. None for all that we do not know."""
    rooted = f"/{path}"
    return next((found for suffix, found in _SUFFIXES if rooted.endswith(suffix)), None)


def by_name(name: str) -> WireFormat:
    """Raises KeyError for a name that none of them has. `raw` is that of all other paths."""
    return _FORMATS[name]
