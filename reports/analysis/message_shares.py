"""How much of a request each message was: an estimate, since providers count all together."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from reports.analysis.message_view import Turn, turn_of
from reports.queries.records import Record

PROMPT = 0


class Share(NamedTuple):
    part: float  # of 1
    tokens: int
    usd: Decimal | None


def shares(record: Record, prompt: Turn | None, usd_in: Decimal | None) -> dict[int, Share]:
    """By the number of the message, from 1 on, and `PROMPT` for a prompt that is no message: the
    tokens that came in, parted as the characters of the text are. Empty where that says nothing: no
    tokens are known, or pictures, sounds and files are among the messages."""
    tokens = record.row["tokens_in"]
    turns = {n: turn_of(message) for n, message in enumerate(record.messages, 1)}
    if not tokens or any(piece.binary for turn in turns.values() for piece in turn.pieces):
        return {}
    if prompt is not None:
        turns[PROMPT] = prompt
    lengths = {n: len(turn.text) for n, turn in turns.items()}
    tools = len(record.tools.json) if record.tools else 0
    whole = sum(lengths.values()) + tools
    return {
        n: Share(part, round(part * tokens), usd_in * Decimal(part) if usd_in is not None else None)
        for n, length in lengths.items()
        if whole
        for part in (length / whole,)
    }
