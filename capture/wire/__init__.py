"""The wire formats, found by the path of a request or by name."""

from __future__ import annotations

import re
from functools import lru_cache

from capture.wire import anthropic_messages, openai_chat, openai_responses, raw
from capture.wire.types import WireFormat

# By the path of a POST: whatever prefix stands before it, such as /openai/deployments/{name},
# /api/v1, or none. The first that matches counts.
_PATHS: tuple[tuple[str, WireFormat], ...] = (
    (r"/chat/completions", openai_chat),
    (r"/responses", openai_responses),
    (r"/v1/messages", anthropic_messages),
)
_PATTERNS = tuple((re.compile(f".*{pattern}", re.DOTALL), found) for pattern, found in _PATHS)
_FORMATS: dict[str, WireFormat] = {found.NAME: found for _, found in (*_PATHS, ("", raw))}


@lru_cache(1024)
def for_path(path: str) -> WireFormat | None:
    """The format that a POST to `path` speaks: decoded, with or without its first slash, without
    its query. None for all that we do not know."""
    rooted = f"/{path}"
    return next((found for pattern, found in _PATTERNS if pattern.fullmatch(rooted)), None)


def by_name(name: str) -> WireFormat:
    """Raises KeyError for a name that none of them has. `raw` is that of all other paths."""
    return _FORMATS[name]
