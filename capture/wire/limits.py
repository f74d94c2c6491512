"""The limits of understanding: how much of a body is parsed, at most.

Agents and providers send whatever they like, and what a body costs to parse is not what it costs to
send: a kilobyte of gzip can stand for a megabyte, three bytes of JSON for two hundred in memory.
Above a limit, the request or the response is recorded raw, with a note that names the limit. All
limits are far above what providers accept or send.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MB = 2**20
SETTING = "AGENTLEDGER_MAX_DECODED_MB"

# A context of a million tokens holds fewer messages, and OpenAI takes 2,048 inputs of embeddings.
MAX_PARTS = 20_000
# No model writes more than 128,000 tokens, and none of them comes in several events.
MAX_EVENTS = 250_000
# JSON arrays, objects, strings, numbers: a value takes up to 200 bytes in memory.
MAX_VALUES = 1_000_000
# A decoded text takes four bytes for a character as soon as one of them is an emoji.
MAX_JSON = 32 * MB
# Providers allow 128 choices, and models call a few tools at once.
MAX_CHOICES = 1_000
MAX_TOOL_CALLS = 5_000
# Blocks of a message, items and entries of an output: a text, a thought, a step.
MAX_BLOCKS = 20_000
MAX_EVENT_LINES = MAX_EVENTS  # some servers send no blank lines
# Providers take 3,600 images; an hour of voice comes in fewer pieces.
MAX_BINARIES = 10_000
# Models of several makers in one call, and pages of web searches.
MAX_ITERATIONS = 1_000
# What a provider counts of a call is smaller by far.
MAX_USAGE = 64 * 2**10
# Fields of a request beside its messages and tools: schemas are the longest of them.
MAX_PARAMS = 4 * MB
# An agent's arguments are nested less deep than this.
MAX_STEPS = 200

# A body compresses to a fortieth where every chunk repeats its head, silence in base64 to a
# thousandth. What is small once decoded may have any ratio.
MAX_RATIO = 200
ANY_RATIO = 4 * MB

# The memory of whoever parses is bounded by this, and as much again for each byte of a body.
MEMORY = 400 * MB
MEMORY_PER_BYTE = 4

# CPU seconds for one call: its request may take half, its response what that leaves. An
# answer of 128,000 events takes 0.9 s on a slow machine.
MAX_CPU_S = 1.8
# For the results of a batch, of which each is read as one response is: 10,000 take about a second.
MAX_RESULTS_CPU_S = 8.0


class TooMuch(Exception):
    """A body is above a limit: the message says which."""

    def __init__(self, what: str, limit: int | float, *, setting: str = "a fixed limit") -> None:
        super().__init__(f"more than {limit:,} {what} ({setting})")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that depend on who parses: the recorder, or the proxy that charges a call."""

    max_decoded: int = 64 * MB
    setting: str = f"{SETTING}=64"

    @classmethod
    def of_mb(cls, max_decoded_mb: int) -> Limits:
        return cls(max_decoded_mb * MB, f"{SETTING}={max_decoded_mb}")

    def decoded_limit(self, n_encoded: int) -> int:
        """Returns how many bytes a body of `n_encoded` may have when it is decoded."""
        return min(self.max_decoded, max(ANY_RATIO, MAX_RATIO * n_encoded))

    def too_large(self, n_encoded: int) -> TooMuch:
        """Returns the error of a body that has more bytes than `decoded_limit`."""
        if self.decoded_limit(n_encoded) < self.max_decoded:
            return TooMuch("times its size when it is decoded", MAX_RATIO)
        return self.too_long()

    def too_long(self) -> TooMuch:
        return TooMuch("MB when it is decoded", self.max_decoded // MB, setting=self.setting)


DEFAULT = Limits()

_value = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([,\[{])', re.DOTALL)


def check_json(text: bytes) -> None:
    """Raises TooMuch for a JSON text that would take too much memory once it is decoded."""
    if len(text) > MAX_JSON:
        raise TooMuch("MB of JSON", MAX_JSON // MB)
    check_values(text)


def check_values(text: bytes) -> None:
    """Raises TooMuch for a text of too many JSON values. A short text is not looked at, and a long
    one mostly only for its commas and brackets, of which those within strings do not count."""
    if len(text) <= 2 * MAX_VALUES or _n_marks(text) <= MAX_VALUES:
        return
    n = 0
    for found in _value.finditer(text):
        n += found[1] is not None
        check(n, MAX_VALUES, "JSON values")


def _n_marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def check(n: int, limit: int, what: str) -> None:
    """Raises TooMuch where `n` is above the limit."""
    if n > limit:
        raise TooMuch(what, limit)
