"""A file of calls that a killed process left running, and what they cost. The recorder writes it
for the next proxy, which corrects what Redis holds for them: the recorder may have ended by
then."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from capture.spool.folder import Folder


def append(folder: Folder, charges: Sequence[tuple[UUID, Decimal]]) -> None:
    """`charges` are ids of calls and what they cost, in USD."""
    if charges:
        with _file(folder).open("a") as file:
            file.writelines(f"{action_id} {usd:f}\n" for action_id, usd in charges)


def take(folder: Folder) -> list[tuple[UUID, Decimal]]:
    """Returns what was appended, and removes the file."""
    taken = _file(folder).with_suffix(".new")
    try:
        _file(folder).rename(taken)
        lines = taken.read_text().splitlines()
        taken.unlink()
    except OSError:  # there is no such file, or the disk fails
        return []
    return [(UUID(id_), Decimal(usd)) for id_, _, usd in (line.partition(" ") for line in lines)]


def _file(folder: Folder) -> Path:
    return folder.path / "interrupted"
