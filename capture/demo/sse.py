"""Server-sent events as providers write them, and texts in pieces as models stream them."""

import re
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"


def frame(data: dict[str, Any], event: str | None = None) -> bytes:
    name = b"" if event is None else b"event: " + event.encode() + b"\n"
    return name + b"data: " + orjson.dumps(data) + b"\n\n"


def split_words(text: str, *, at_once: int = 3) -> list[str]:
    """Splits `text` into pieces of a few words, which joined are `text` again."""
    single = re.findall(r"\s*\S+\s*", text)
    return ["".join(single[i : i + at_once]) for i in range(0, len(single), at_once)]


def slices(text: str, *, length: int = 12) -> list[str]:
    """Splits `text` into pieces of `length` characters: providers cut tool arguments anywhere."""
    return [text[i : i + length] for i in range(0, len(text), length)]
