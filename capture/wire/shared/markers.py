"""Finds markers for a provider's cache in the parts of a request.

Agents that cache prompts put one on their newest message and take it off at the next call, so it is
no part of what the message says. Anthropic and those who speak for it have `cache_control`, OpenAI
`prompt_cache_breakpoint`, Bedrock's Converse a block `cachePoint`. To put a marker on a message
whose content is a string, they make a block of the string; so in a request with markers, a content
of one text block is the same as its string.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from capture.wire.json.lenient import load
from capture.wire.types import JSON, BodyPart

_KEYS = frozenset(("cache_control", "prompt_cache_breakpoint"))
_BLOCK = "cachePoint"
# The fields of a part that hold blocks or tools, which may have markers of their own.
_NESTED = ("content", "tools", "function")
_DEEPEST = 4
# In most messages only the role comes before the content, and blanks in JSON are few.
_NEAR = 100
# Anthropic accepts four in a request.
_MOST = 100
_BACKSLASH = ord("\\")

_B = rb"[ \t\r\n]*+"
_MEMBER = (
    rb'"(?:cache_control|prompt_cache_breakpoint)"' + _B + rb":" + _B + rb"(?:null|\{[^{}\[\]]*+\})"
)
_IN_BLOCK = rb'(?:"type"' + _B + rb":" + _B + rb'"text"|' + _MEMBER + rb")"
_hint = re.compile(rb'"(?:cache_control|cachePoint|prompt_cache_breakpoint)"')
_marker = re.compile(
    _MEMBER + rb"|\{" + _B + rb'"cachePoint"' + _B + rb":" + _B + rb"\{[^{}\[\]]*+\}" + _B + rb"\}"
)
_before_text = re.compile(
    rb'"content"' + _B + rb":" + _B
    + rb"(\[" + _B + rb"\{" + _B + rb"(?:" + _IN_BLOCK + _B + rb"," + _B + rb')*+"text"' + _B
    + rb":" + _B + rb')"'
)  # fmt: skip
_after_text = re.compile(_B + rb"(?:," + _B + _IN_BLOCK + _B + rb")*+\}" + _B + rb"\]")
_comma_before = re.compile(rb"," + _B + rb"\Z")
_comma_after = re.compile(_B + rb"," + _B)


class Cut(NamedTuple):
    """A range of a body that is no part of what a message says: `body[start:end]`."""

    start: int
    end: int


def find_markers(body: bytes, parts: list[BodyPart]) -> dict[int, list[Cut]]:
    """Returns the ranges of markers in order, by the index of their part; of most requests none. A
    comma beside a marker belongs to it."""
    hints = [match.start() for match in _hint.finditer(body)]
    if not hints:
        return {}
    found = {}
    ends = [part.end for part in parts]
    for index in sorted({bisect_right(ends, hint) for hint in hints} - {len(parts)}):
        if cuts := _markers_in(body, parts[index]):
            found[index] = cuts
    if found:
        for index, part in enumerate(parts):
            if part.kind == "message" and (cuts := _around_one_text(body, part)):
                found[index] = cuts
    return found


def _markers_in(body: bytes, part: BodyPart) -> list[Cut]:
    matches = list(_marker.finditer(body, part.start, part.end))
    if not matches or len(matches) > _MOST:
        return []
    # What has such a name in a tool's arguments or schema is no marker.
    if len(matches) != _count(load(body[part.start : part.end])[0], _DEEPEST):
        return []
    cuts: list[Cut] = []
    begin = part.start
    for match in matches:
        cuts.append(_with_comma(body, begin, match))
        begin = cuts[-1].end
    return cuts


def _count(value: JSON, depth: int) -> int:
    """Counts markers where providers accept them."""
    if depth == 0:
        return 0
    if isinstance(value, list):
        return sum(_count(entry, depth) for entry in value)
    if not isinstance(value, dict):
        return 0
    own = len(_KEYS.intersection(value)) + (value.keys() == {_BLOCK})
    return own + sum(_count(value[name], depth - 1) for name in _NESTED if name in value)


def _with_comma(body: bytes, begin: int, match: re.Match[bytes]) -> Cut:
    """Returns the range of a marker with the comma before it, else with the one after it. The range
    begins at `begin` at the earliest."""
    start, end = match.span()
    # Blanks before a marker are few.
    if before := _comma_before.search(body[max(begin, start - _NEAR) : start]):
        return Cut(start - (before.end() - before.start()), end)
    after = _comma_after.match(body, end)
    return Cut(start, after.end() if after else end)


def _around_one_text(body: bytes, part: BodyPart) -> list[Cut]:
    """Returns what stands around the string if the content of a message is one block of text."""
    key = body.find(b'"content"', part.start, min(part.start + _NEAR, part.end))
    before = _before_text.match(body, key, part.end) if key >= 0 else None
    if before is None:
        return []
    end = _string_end(body, before.end(), part.end)
    after = _after_text.match(body, end, part.end)
    if after is None or body.find(b'"content"', end, part.end) >= 0:
        return []
    return [Cut(*before.span(1)), Cut(*after.span())]


def _string_end(body: bytes, start: int, end: int) -> int:
    """Returns the end of the JSON string whose text begins at `start`."""
    while (quote := body.find(b'"', start, end)) >= 0:
        n_escapes = 0
        while body[quote - 1 - n_escapes] == _BACKSLASH:
            n_escapes += 1
        if n_escapes % 2 == 0:
            return quote + 1
        start = quote + 1
    return end
