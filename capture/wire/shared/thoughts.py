"""The thoughts of a model in chat completions, which servers send under many names, and some under
several at once."""

from __future__ import annotations

from capture.wire.json.fields import join_text
from capture.wire.types import JSON

NAMES = frozenset(
    (
        "reasoning_content",  # DeepSeek, vLLM, SGLang
        "reasoning",  # OpenRouter, Groq, newer vLLM
        "reasoning_text",  # Copilot
        "reasoning_details",  # OpenRouter, MiniMax: texts, summaries, and what is encrypted
        "reasoning_steps",  # Perplexity
        "thinking",
        "thinking_blocks",  # LiteLLM
    )
)
"""The fields of a message or a delta that hold thoughts."""

CONTENT_TYPES = ("thinking", "reasoning", "reasoning_text")
"""The types of entries of a content that are thoughts: of Mistral's, Databricks' and others'."""

_TEXTS = ("text", "thinking", "summary", "content", "reasoning", "thought")
_DEEPEST = 4


class Thoughts:
    """Holds what came under each name. The same text under two names is one thought."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, name: str, value: JSON) -> bool:
        """Adds a value of any shape; returns True when it has text."""
        pieces = _pieces_in(value, 0)
        if pieces:
            self._pieces.setdefault(name, []).extend(pieces)
        return bool(pieces)

    def text(self) -> str | None:
        found = ["".join(pieces) for pieces in self._pieces.values()]
        return join_text(found if len(found) < 2 else _without_repeats(found), "\n\n")


def _pieces_in(value: JSON, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        return [piece for entry in value for piece in _pieces_in(entry, depth + 1)]
    if isinstance(value, dict):
        found = (_pieces_in(value.get(name), depth + 1) for name in _TEXTS if value.get(name))
        return next(filter(None, found), [])
    return []


def _without_repeats(found: list[str]) -> list[str]:
    """Leaves out every text that another one holds, or that is another one repeated. Summaries are
    joined in different ways, so blanks do not count."""
    kept: dict[str, int] = {}  # the place in `found`
    for place in sorted(range(len(found)), key=lambda place: -len(found[place])):
        bare = "".join(found[place].split())
        repeated = [other for other in kept if bare and not other.replace(bare, "")]
        for other in repeated:
            del kept[other]
        if repeated or not any(bare in other for other in kept):
            kept[bare] = place
    return [found[place] for place in sorted(kept.values())]
