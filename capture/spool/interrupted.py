"""Calls that a killed process left running, and what they cost: for the process that comes after,
if Redis holds for them what they were expected to cost. A file, since the recorder may have ended
by then."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from capture.exchange import Outcome
from capture.parsing.parse import UnderstoodCall
from capture.pricing.call_cost import charged_usd
from capture.spool.folder import Folder


def leave_word(folder: Folder, calls: Iterable[UnderstoodCall]) -> None:
    lines = []
    for call in calls:
        reserved = call.request.reserved_usd if call.request else None
        if call.outcome == Outcome.INTERRUPTED and reserved is not None:
            status = call.response_head.status if call.response_head else None
            usd = charged_usd(call.cost.total_usd, reserved, status=status, outcome=call.outcome)
            lines.append(f"{call.action_id} {usd or 0:f}\n")
    if lines:
        with _file(folder).open("a") as file:
            file.writelines(lines)


def take(folder: Folder) -> list[tuple[UUID, Decimal]]:
    """Those that there was word of; they are forgotten."""
    taken = _file(folder).with_suffix(".new")
    try:
        _file(folder).rename(taken)
        lines = taken.read_text().splitlines()
        taken.unlink()
    except OSError:  # there is none, or the disk has other worries
        return []
    return [(UUID(id_), Decimal(usd)) for id_, _, usd in (line.partition(" ") for line in lines)]


def _file(folder: Folder) -> Path:
    return folder.path / "interrupted"
