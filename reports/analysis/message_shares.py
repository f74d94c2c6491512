"""An estimate of each message's share of a request; providers report only the total."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from reports.analysis.message_view import MessageView, view_message
from reports.queries.records import Record

PROMPT = 0
MAX_MESSAGES = 2_000


class MessageShare(NamedTuple):
    part: float  # 0 to 1
    tokens: int
    usd: Decimal | None


def message_shares(
    record: Record, prompt: MessageView | None, usd_in: Decimal | None
) -> dict[int, MessageShare]:
    """Splits the input tokens, and their cost `usd_in`, by the number of characters.

    The keys are the messages' numbers, from 1 on, and PROMPT for a system prompt that is not among
    them. Returns an empty dict where the estimate would be meaningless: the input tokens are
    unknown, the messages hold images, audio or files, or a page does not show all of them.
    """
    tokens = record.row["tokens_in"]
    if not tokens or len(record.refs) > MAX_MESSAGES:
        return {}
    views = {n: view_message(message) for n, message in enumerate(record.messages, 1)}
    if any(block.binary for view in views.values() for block in view.blocks):
        return {}
    if prompt is not None:
        views[PROMPT] = prompt
    lengths = {n: len(view.text) for n, view in views.items()}
    tools = len(record.tools.json) if record.tools else 0
    total = sum(lengths.values()) + tools
    return {
        n: MessageShare(
            part, round(part * tokens), usd_in * Decimal(part) if usd_in is not None else None
        )
        for n, length in lengths.items()
        if total
        for part in (length / total,)
    }
